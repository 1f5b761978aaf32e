package scheduler

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func someDecision() Decision {
	at := time.Date(2026, 3, 10, 9, 20, 0, 0, time.UTC)
	return Decision{
		At: at, Live: true, Model: 7, Propensity: .5, Would: Hold, WouldAt: at.Add(9*time.Hour + 20*time.Minute),
		Now: Parts{Read: .1, Unsubscribe: -.01, Complaint: -.002, Future: -.003}, Best: Parts{Read: .21, Unsubscribe: -.01, Complaint: -.002, Future: -.003},
		BestAt: at.Add(9*time.Hour + 20*time.Minute), RunnerUp: .19, RunnerAt: at.Add(10 * time.Hour),
		Reads: 2.1, Pressure: 1.3, Interest: .2, Evidence: 31, Own: true, Mails: 40,
	}
}

func TestDecisionCodec(t *testing.T) {
	for _, d := range []Decision{{}, someDecision(), {Arm: ArmHistogram, Would: Drop, Mails: 65535, Model: 1 << 31}} {
		b := d.AppendBinary([]byte{9})
		var back Decision
		rest, err := back.UnmarshalBinary(append(b[1:], 5))
		if err != nil || back != d || !bytes.Equal(rest, []byte{5}) {
			t.Errorf("%+v came back as %+v, %x, %v", d, back, rest, err)
		}
		if len(b) > 257 {
			t.Errorf("%d bytes", len(b)-1)
		}
		before := back
		if _, err := back.UnmarshalBinary(b[1 : len(b)-1]); err == nil || back != before {
			t.Error("a truncated decision was read")
		}
	}
}

func FuzzDecision(f *testing.F) {
	d := someDecision()
	f.Add(d.AppendBinary(nil))
	f.Add(new(Decision).AppendBinary(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		var d Decision
		rest, err := d.UnmarshalBinary(b)
		if err != nil {
			return
		}
		if again := append(d.AppendBinary(nil), rest...); !bytes.Equal(again, b) {
			t.Errorf("%x became %x", b, again)
		}
		d.Sentence(time.UTC)
		d.Changes()
		d.Best.Lines()
	})
}

func TestDecisionSentences(t *testing.T) {
	held := someDecision()
	observed, dropped, control, now, soonest, shared := held, held, held, held, held, held
	observed.Live = false
	dropped.Would, dropped.Best = Drop, Parts{Read: .004, Unsubscribe: -.02}
	control.Arm, control.Would = ArmControl, Now
	now.Would, now.BestAt = Now, now.At
	soonest.Reads = 1
	shared.Own, shared.Evidence = false, 0
	tests := []struct {
		d    Decision
		want string
	}{
		{held, "Held until Tue 19:40: a read soon after is 2.1 times likelier than now (31 hours of own evidence); pressure 1.3 of what this person bears."},
		{observed, "The model would hold it until Tue 19:40: a read soon after is 2.1 times likelier than now (31 hours of own evidence); pressure 1.3 of what this person bears."},
		{dropped, "Dropped: it would bring 0.004 and cost 0.020 reads' worth; pressure 1.3 of what this person bears."},
		{control, "Left at once by the rule of the control arm, without looking at the model."},
		{now, "Left at once: no later hour promises more (31 hours of own evidence); pressure 1.3 of what this person bears."},
		{soonest, "Held until Tue 19:40: a read is worth 110 % more than now, by coming sooner after it leaves or being less of a burden (31 hours of own evidence); pressure 1.3 of what this person bears."},
		{shared, "Held until Tue 19:40: a read soon after is 2.1 times likelier than now (the shared curve); pressure 1.3 of what this person bears."},
		{Decision{}, "The model had no say."},
	}
	berlin := zoneOf(t, "Europe/Berlin")
	for _, tt := range tests {
		if got := tt.d.Sentence(berlin); got != tt.want {
			t.Errorf("%q\nwant\n%q", got, tt.want)
		}
	}
	lines := held.Best.Lines()
	if len(lines) != 6 || !strings.HasPrefix(lines[0], "reading") || !strings.HasSuffix(lines[0], "+0.2100") || !strings.HasSuffix(lines[5], "+0.1950") {
		t.Errorf("parts are written as %q", lines)
	}
}

// TestChanges applies each change to the request: the action changes, and a little
// less of it does not do.
func TestChanges(t *testing.T) {
	held := someDecision()
	if list := held.Changes(); len(list) == 0 || list[0].Input != "max_hold" || list[0].Then != Now {
		t.Errorf("of a hold the changes are %v", list)
	}
	for _, c := range held.Changes() {
		if c.String() == "" || c.Input == "pressure" && c.To <= held.Pressure || c.Input == "value" && c.To >= 1 {
			t.Errorf("change %v", c)
		}
	}
	dropped := held
	dropped.Would, dropped.Best = Drop, Parts{Read: .004, Unsubscribe: -.02}
	seen := map[string]float32{}
	for _, c := range dropped.Changes() {
		seen[c.Input] = c.To
		if c.Then != Now {
			t.Errorf("change %v", c)
		}
	}
	if v := seen["value"]; v < 4.99 || v > 5.01 {
		t.Errorf("a drop is undone by %v times the value, want 5", v)
	}
	if x := seen["pressure"]; x != 0 { // at no pressure .004*1.27 is still less than .02*exp(-.91)
		t.Errorf("a drop is undone by pressure %v", x)
	}
	if new(Decision).Changes() != nil {
		t.Error("no decision, and changes to it")
	}
}
