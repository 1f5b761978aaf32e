package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"tidepost/scheduler"
	"tidepost/scheduler/interest"
)

// recordedSends are sends of mails with what came of them. It takes five bytes a
// send.
type recordedSends struct {
	users []int64        // numbers as in the file
	mails []recordedMail // in order of sending
	dated bool           // mails.csv says when they went out
}

type recordedMail struct {
	id   int64
	at   int64 // Unix seconds
	who  []int32
	what []uint8 // recordedOpen and recordedClick, in the places of who
}

const (
	recordedOpen  = 1
	recordedClick = 2
)

// weeklySends is the cadence of mails whose times are not known.
const weeklySends = 7 * 86400

// readSends reads a recording of sends. Its rows may stand in any order.
func readSends(dir string, note *progressNote) (*recordedSends, error) {
	t, err := openTable(filepath.Join(dir, "sends.csv.gz"), note, "user", "mail", "opened", "clicked?")
	if err != nil {
		return nil, err
	}
	defer t.close()
	r := &recordedSends{}
	users, mails := map[int64]int32{}, map[int64]int{}
	for {
		ok, err := t.next()
		if err != nil {
			return nil, err
		}
		if !ok {
			break
		}
		if err := r.row(t, users, mails); err != nil {
			return nil, err
		}
	}
	if len(r.mails) < 2 {
		return nil, fmt.Errorf("%s: %d mails; at least two are needed, one to learn from and one to predict", t.name, len(r.mails))
	}
	return r, r.date(dir, note)
}

func (r *recordedSends) row(t *recordedTable, users map[int64]int32, mails map[int64]int) error {
	user, err := t.int(0, math.MinInt64, math.MaxInt64)
	if err != nil {
		return err
	}
	mail, err := t.int(1, math.MinInt64, math.MaxInt64)
	if err != nil {
		return err
	}
	opened, err := t.int(2, 0, 1)
	if err != nil {
		return err
	}
	clicked := int64(0)
	if t.has(3) {
		if clicked, err = t.int(3, 0, 1); err != nil {
			return err
		}
	}
	u, ok := users[user]
	if !ok {
		u = int32(len(r.users))
		users[user] = u
		r.users = append(r.users, user)
	}
	i, ok := mails[mail]
	if !ok {
		i = len(r.mails)
		mails[mail] = i
		r.mails = append(r.mails, recordedMail{id: mail})
	}
	m := &r.mails[i]
	m.who, m.what = append(m.who, u), append(m.what, uint8(opened*recordedOpen|clicked*recordedClick))
	return nil
}

// date orders the mails by their times of sending, or else by number.
func (r *recordedSends) date(dir string, note *progressNote) error {
	times, err := readMailTimes(dir, note)
	if err != nil {
		return err
	}
	r.dated = len(times) > 0
	for i := range r.mails {
		if at, ok := times[r.mails[i].id]; ok {
			r.mails[i].at = at
		} else {
			r.dated = false
		}
	}
	slices.SortFunc(r.mails, func(a, b recordedMail) int {
		if r.dated && a.at != b.at {
			return cmp.Compare(a.at, b.at)
		}
		return cmp.Compare(a.id, b.id)
	})
	if !r.dated {
		for i := range r.mails {
			r.mails[i].at = 1_500_000_000 + int64(i)*weeklySends
		}
	}
	return nil
}

// readMailTimes reads when each mail went out; nothing where that is not recorded.
func readMailTimes(dir string, note *progressNote) (map[int64]int64, error) {
	path := filepath.Join(dir, "mails.csv")
	if _, err := os.Stat(path); err != nil {
		if path += ".gz"; !fileExists(path) {
			return nil, nil
		}
	}
	t, err := openTable(path, note, "mail", "sent_utc?")
	if err != nil {
		return nil, err
	}
	defer t.close()
	times := map[int64]int64{}
	for t.has(1) {
		ok, err := t.next()
		if err != nil || !ok {
			return times, err
		}
		mail, err := t.int(0, math.MinInt64, math.MaxInt64)
		if err != nil {
			return nil, err
		}
		if times[mail], err = t.int(1, 0, math.MaxUint32); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// trained is how many of the mails are for learning: the first 70 %.
func (r *recordedSends) trained() int { return int(math.RoundToEven(0.7 * float64(len(r.mails)))) }

// tested reports whether the mail in a place is to be predicted: it is behind the
// first 70 % of the mails, or so is its number, by which score.py goes.
func (r *recordedSends) tested(i int) bool {
	return i >= r.trained() || r.mails[i].id > int64(r.trained())
}

func (r *recordedSends) mail(i int) interest.Mail {
	return interest.Mail{At: r.mails[i].at, Weight: newsletterPressure, Campaign: uint32(i + 1)}
}

const newsletterPressure = 0.6

// fit makes a model from the mails that are not to be predicted.
func (r *recordedSends) fit() *scheduler.Model {
	model := scheduler.BuiltIn()
	model.Observed = true
	people := make([]interest.History, len(r.users))
	most := fitPeople(len(r.users))
	for i := range r.mails {
		if r.tested(i) {
			continue
		}
		for j, u := range r.mails[i].who {
			if int(u) < most {
				what := r.mails[i].what[j]
				people[u] = append(people[u], interest.Outcome{Mail: r.mail(i), Read: what&recordedOpen != 0, Clicked: what&recordedClick != 0})
			}
		}
	}
	model.Interest = interest.Fit(people[:most], model.Interest)
	return model
}

// fitPeople bounds how many persons a model is fitted on: more do not make it
// better, only later.
func fitPeople(n int) int { return min(n, 50_000) }

// sendPrediction is told of each send that is to be predicted.
type sendPrediction func(user, mail int64, opened, clicked float64, what uint8) error

// predict lives through the mails in order: each is predicted for everybody from
// what is known of earlier ones, then its outcomes are learned.
func (r *recordedSends) predict(model *scheduler.Model, note *progressNote, tell sendPrediction) error {
	states := make([]interest.State, len(r.users))
	learner := interest.NewLearner(model.Interest)
	prior := model.Interest
	for i := range r.mails {
		m := &r.mails[i]
		mail := r.mail(i)
		for j, u := range m.who {
			s := &states[u]
			if r.tested(i) {
				if err := tell(r.users[u], m.id, s.Read(prior, mail), s.Click(prior, mail), m.what[j]); err != nil {
					return err
				}
			}
			s.Sent(prior, mail)
			note.part("predicting", func() float64 { return float64(i) / float64(len(r.mails)) })
		}
		prior = r.learn(learner, states, prior, i)
	}
	note.done()
	return nil
}

// learn takes in the outcomes of one mail.
func (r *recordedSends) learn(l *interest.Learner, states []interest.State, prior *interest.Prior, i int) *interest.Prior {
	m, mail := &r.mails[i], r.mail(i)
	for j, u := range m.who {
		l.Observe(&states[u], mail, m.what[j]&recordedOpen != 0, m.what[j]&recordedClick != 0)
	}
	mail.Level = l.Level(mail.Campaign)
	for j, u := range m.who {
		states[u].Resolve(prior, mail, m.what[j]&recordedOpen != 0, m.what[j]&recordedClick != 0, 1)
	}
	return l.Snapshot()
}

// evaluateOpens writes user,mail,p for each send that is to be predicted.
func (e *evaluateCmd) evaluateOpens(w io.Writer, note *progressNote) ([]measured, error) {
	r, err := readSends(e.Data, note)
	if err != nil {
		return nil, err
	}
	note.say("learning from the first 70 % of the mails")
	model := r.fit()
	out := bufio.NewWriterSize(w, 1<<16)
	out.WriteString("user,mail,p\n")
	var score openScore
	var line []byte
	err = r.predict(model, note, func(user, mail int64, opened, clicked float64, what uint8) error {
		p, happened := opened, what&recordedOpen != 0
		if e.Target == "clicked" {
			p, happened = clicked, what&recordedClick != 0
		}
		score.add(p, happened)
		line = strconv.AppendInt(line[:0], user, 10)
		line = strconv.AppendInt(append(line, ','), mail, 10)
		line = strconv.AppendFloat(append(line, ','), p, 'g', 7, 64)
		_, err := out.Write(append(line, '\n'))
		return err
	})
	if err != nil {
		return nil, err
	}
	return score.measured(e.Target), out.Flush()
}
