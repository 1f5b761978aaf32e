package interest

// BuiltIn is the Prior for a list of which nothing is known. Its filters and
// weights come from Fit on mails 1 to 38 of a recorded newsletter of a volunteer
// centre (9,809 subscribers, 2019 and 2020, monthly and then weekly); the later
// mails were not looked at. The variances are wider than Fit left them, so that a
// Learner soon follows another list. Delay, Fatigue
// and Leaving are starting guesses of the decision model.
func BuiltIn() *Prior {
	p := builtIn
	return p.derive()
}

var builtIn = Prior{
	Version: 1,
	Open: Filter{Low: -6, Step: 0.6, Drift: 0.0323, DriftDay: 0.000347, Fade: 0.0418, Lapse: 0.0036, Echo: 0.05, Revive: 0.000694, ReviveCap: 1,
		Start: [Levels]float32{.105, .0488, .0408, .0404, .0445, .0629, .1088, .1637, .1388, .0716, .0563, .0408, .0176, .0075, .0105, .042}},
	Tap: Filter{Low: -8, Step: 0.664, Drift: 0.00537, DriftDay: 0.000347, Fade: 0.0462, Lapse: 0.0207, Echo: 0.05, Revive: 0.001, ReviveCap: 1,
		Start: [Levels]float32{.1258, .1008, .1115, .1199, .1139, .1048, .0931, .0742, .0623, .0503, .0301, .009, .0013, .0004, .0004, .0023}},
	Reading: Layer{
		Weights:  [Inputs]float32{-1.6, .637, .009, .099, 0, .242, -.025, 0, -.14, .611, 1, 1, 0},
		Variance: [Inputs]float32{.25, .03, .03, .03, .03, .03, .03, .03, .003, .03, .1, .1, 0},
		Noise:    [Inputs]float32{5e-4, 1e-5, 1e-5, 1e-5, 1e-5, 1e-5, 1e-5, 1e-5, 1e-6, 1e-5, 1e-5, 1e-5, 0},
		Luck:     0.04,
	},
	Tapping: Layer{
		Weights:  [Inputs]float32{-4.055, .037, .814, 0, 0, .03, -.35, 0, -.195, .851, 1, 1, .236},
		Variance: [Inputs]float32{.25, .03, .03, .03, .03, .03, .03, .03, .003, .03, .1, .1, .03},
		Noise:    [Inputs]float32{5e-4, 1e-5, 1e-5, 1e-5, 1e-5, 1e-5, 1e-5, 1e-5, 1e-6, 1e-5, 1e-5, 1e-5, 1e-5},
		Luck:     0.1,
	},
	Delay:   Delay{Share: [3]float32{.33, .42, .25}, Hours: [3]float32{.6, 9, 72}},
	Fatigue: Fatigue{Fast: 2, Slow: 15, Tolerance: 2.5, Precision: 25, Reach: 4, Half: 2.5, Power: 2},
	Leaving: Leaving{
		Unsubscribe: .0012, UnsubscribeSlope: .7, UnsubscribeLapse: 2,
		Complaint: .0002, ComplaintSlope: 1, ComplaintLapse: 3,
		Frailty: 1, Grudge: 3,
	},
}
