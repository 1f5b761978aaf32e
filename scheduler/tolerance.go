package scheduler

import "tidepost/scheduler/interest"

// AdoptTolerance takes over how pressure shows and when people leave, as caps drawn by
// lot showed it. Curves are not part of it: the model's version stays.
func (l *Learner) AdoptTolerance(f interest.Fatigue, leaving interest.Leaving) {
	l.interest = interest.NewLearner(l.interest.Snapshot().With(f, leaving))
}
