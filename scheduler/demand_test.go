package scheduler

import (
	"math/rand/v2"
	"testing"
)

// What lies below the floor holds the share of readings that may be lost.
const day0 = 1_700_000_000

func TestDemandFloor(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	worths := make([]float32, 20_000)
	var d Demand
	for i := range worths {
		p := r.Float32()
		worths[i] = p * p * p // most mail is hardly wanted
		d.Add(day0, worths[i], 0, true)
	}
	for _, keep := range []float32{0.99, 0.95, 0.8, 0.5} {
		floor := d.Floor(keep)
		var lost, total, mails float32
		for _, w := range worths {
			total += w
			if w/attention < floor {
				lost += w
				mails++
			}
		}
		if share := lost / total; share < 0.9*(1-keep) || share > 1.1*(1-keep) {
			t.Errorf("keep %v: below the floor of %v lie %.3f of the readings, and %.2f of the mail", keep, floor, share, mails/float32(len(worths)))
		}
	}
}

func TestDemandSaysNothingEarly(t *testing.T) {
	var d Demand
	for range demandEnough - 1 {
		d.Add(day0, 0.5, 0, true)
	}
	if f := d.Floor(0.5); f != 0 {
		t.Errorf("after %d mails the floor is %v", demandEnough-1, f)
	}
	d.Add(day0, 0.5, 0, true)
	if f := d.Floor(0.5); f <= 0 {
		t.Error("after enough mails there is no floor")
	}
	if f := d.Floor(1); f != 0 {
		t.Errorf("where all readings are to be kept the floor is %v", f)
	}
}

// Mail that may not be dropped counts among what is kept.
func TestDemandProtectsWhatMayNotBeDropped(t *testing.T) {
	var d Demand
	for range 1000 {
		d.Add(day0, 0.4, 0, false)
		d.Add(day0, 0.01, 0, true)
	}
	if f := d.Floor(0.95); f < 0.01/attention {
		t.Errorf("the floor is %v: all mail that is hardly wanted may go", f)
	}
}

// Old mail fades.
func TestDemandFollowsTheList(t *testing.T) {
	var d Demand
	for range 20_000 {
		d.Add(day0, 0.5, 0, true)
	}
	before := d.Floor(0.9)
	for day := range 120 {
		for range 100 {
			d.Add(day0+int64(day)*secondsPerDay, 0.05, 0, true)
		}
	}
	if after := d.Floor(0.9); after >= before/4 {
		t.Errorf("the floor was %v and is %v after months of mail that is wanted a tenth as much", before, after)
	}
	d.Add(day0+1000*secondsPerDay, 0.05, 0, true) // after years of silence
	if f := d.Floor(0.9); !(f > 0 && f < 1) {
		t.Errorf("after years of silence the floor is %v", f)
	}
}

// Of two mails that are as likely to be read, the one that costs more goes first.
func TestDemandCountsCosts(t *testing.T) {
	if thrift(0.1, 0.2) >= thrift(0.1, 0) || thrift(0.2, 0.1) <= thrift(0.1, 0.1) {
		t.Error("thrift does not rise with worth or fall with cost")
	}
}
