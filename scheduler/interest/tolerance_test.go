package interest

import (
	"math"
	"math/rand/v2"
	"testing"
)

// capWorld draws people whose true tolerance is known; some leave under the load.
func capWorld(people int, tolerance, hazard, slope float64, caps []float32) []CapSample {
	random := rand.New(rand.NewPCG(5, 6))
	truth := BuiltIn()
	truth.Fatigue.Tolerance = float32(tolerance)
	samples := make([]CapSample, people)
	for i := range samples {
		load := float32(1 + 5*random.Float64())
		s := CapSample{Cap: caps[random.IntN(len(caps))], Load: load, Offered: 26 * load}
		// People who are sent more are the ones who read more: no cause.
		p := (0.1 + 0.08*float64(load)) * random.Float64()
		x := s.Cap * load / float32(tolerance)
		for range int(s.Offered * s.Cap) {
			if random.Float64() < p*float64(truth.Openness(x)) {
				s.Reads++
			}
			if random.Float64() < hazard*math.Exp(slope*float64(x)) {
				s.Unsubscribes = 1
				break
			}
		}
		samples[i] = s
	}
	return samples
}

func TestFitTolerance(t *testing.T) {
	caps := []float32{.5, .75, 1, 1.25}
	tests := []struct {
		name      string
		people    int
		tolerance float64
		caps      []float32
		least     float32 // of the tolerance found
		most      float32
	}{
		{"nobody", 0, 2.5, caps, 2.5, 2.5},
		{"a handful", 8, 1.2, caps, 1.7, 3.7},
		{"many, less tolerant than we thought", 15000, 1.5, caps, 1.2, 1.9},
		{"many, more tolerant than we thought", 15000, 4.5, caps, 3.5, 5.8},
		{"many, but the cap was never varied", 10000, 1.2, []float32{1}, 1.5, 3.5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := BuiltIn().FitTolerance(capWorld(tt.people, tt.tolerance, 0, 0, tt.caps)).Fatigue
			t.Logf("tolerance %.2f, power %v", got.Tolerance, got.Power)
			if got.Tolerance < tt.least || got.Tolerance > tt.most {
				t.Errorf("tolerance %.2f, want %.1f to %.1f", got.Tolerance, tt.least, tt.most)
			}
		})
	}
}

func TestFitHazards(t *testing.T) {
	samples := capWorld(15000, 2.5, .0005, 1, []float32{.5, .75, 1, 1.25})
	got := BuiltIn().FitTolerance(samples).Leaving
	if got.Unsubscribe < .0003 || got.Unsubscribe > .0008 || got.UnsubscribeSlope < .7 || got.UnsubscribeSlope > 1.3 {
		t.Errorf("unsubscribe %.5f exp(%.2f x), want .0005 exp(x)", got.Unsubscribe, got.UnsubscribeSlope)
	}
	if was := BuiltIn().Leaving; got.Complaint != was.Complaint || got.ComplaintSlope != was.ComplaintSlope {
		t.Error("hazard of complaints moved without a complaint")
	}
}
