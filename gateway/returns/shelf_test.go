package returns

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"tidepost/gateway"
)

func TestShelf(t *testing.T) {
	const maxKept = 20
	s := &Shelf{Dir: t.TempDir() + "/a", Most: maxKept}
	if all, err := s.List(); err != nil || len(all) != 0 {
		t.Errorf("before anything: %v, %v", all, err)
	}
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	var ids []string
	for i := range maxKept + 3 {
		id, err := s.Keep(at.Add(time.Duration(i)*time.Second), fmt.Append(nil, i))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	again, err := s.Keep(at.Add(time.Hour*24), fmt.Append(nil, maxKept))
	if err != nil || again != ids[maxKept] {
		t.Errorf("the same mail again is kept as %s, %v", again, err)
	}
	all, err := s.List()
	if err != nil || len(all) != maxKept || all[0].ID != ids[len(ids)-1] || all[maxKept-1].ID != ids[3] {
		t.Errorf("%d are kept, %v", len(all), err)
	}
	if err := s.Remove(ids[5]); err != nil {
		t.Error(err)
	}
	if err := os.Truncate(s.path(ids[10]), 1); err != nil { // as a crash may leave it
		t.Fatal(err)
	}
	whole, err := s.Keep(at.Add(time.Hour), []byte("10"))
	if err != nil || whole == ids[10] {
		t.Errorf("what was cut off is kept as %s, %v", whole, err)
	}
	if mail, err := s.Mail(whole); err != nil || string(mail) != "10" {
		t.Errorf("it reads %q, %v", mail, err)
	}
	for _, id := range []string{ids[5], ids[0], "../a", "", "20261122T100000Z-0000000000000000"} {
		if _, err := s.Mail(id); !errors.Is(err, gateway.ErrNotFound) {
			t.Errorf("Mail(%q): %v", id, err)
		}
		if err := s.Remove(id); !errors.Is(err, gateway.ErrNotFound) {
			t.Errorf("Remove(%q): %v", id, err)
		}
	}
}

// The shelf is bounded in bytes, too: the oldest makes room.
func TestShelfBytes(t *testing.T) {
	s := &Shelf{Dir: t.TempDir()}
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	var ids []string
	for i, size := range []int64{maxKeptBytes / 2, maxKeptBytes / 2, 1} {
		id, err := s.Keep(at.Add(time.Duration(i)*time.Second), []byte{byte(i)})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(s.path(id), size); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	all, err := s.List()
	if err != nil || len(all) != 2 || all[0].ID != ids[2] || all[1].ID != ids[1] {
		t.Errorf("kept %+v, %v", all, err)
	}
}
