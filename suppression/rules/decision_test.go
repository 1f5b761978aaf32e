package rules

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// recordedDecision is a decision of a reader.
func recordedDecision() Decision {
	return Decision{
		ID: "01JD3W0Q8TSB2V7YB6Q6V1M5ZK.17", Mailbox: 0x1234567890abcdef, Facts: reader(),
		Happened: Held, Arm: "model", Propensity: 0.9, Outcome: Outcome{Opened: true, Complained: true},
	}
}

func TestDecisionRoundTrip(t *testing.T) {
	d := recordedDecision()
	b, err := d.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", len(b))
	got, err := Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	sameDecision(t, d, got)
	for i := range b {
		if _, err := Decode(b[:i]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut to %d bytes: %v", i, err)
		}
	}
	if _, err := Decode(append(b, 0)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("with a byte too many: %v", err)
	}
	if _, err := Decode(append([]byte{99}, b[1:]...)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("of another version: %v", err)
	}
	if _, err := (&Decision{}).AppendBinary(nil); err == nil {
		t.Error("a decision without a time was written")
	}
}

func sameDecision(t testing.TB, want, got Decision) {
	t.Helper()
	for _, pair := range [][2]*time.Time{{&want.Facts.Now, &got.Facts.Now}, {&want.Facts.Mailbox.LastSend, &got.Facts.Mailbox.LastSend},
		{&want.Facts.Mailbox.LastOpen, &got.Facts.Mailbox.LastOpen}, {&want.Facts.Mailbox.LastClick, &got.Facts.Mailbox.LastClick}} {
		if !pair[0].Equal(*pair[1]) || !pair[0].IsZero() && pair[0].Format("15:04:05Z07") != pair[1].Format("15:04:05Z07") {
			t.Errorf("time %v became %v", pair[0], pair[1])
		}
		*pair[1] = *pair[0]
	}
	if !reflect.DeepEqual(want, got) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// No member is forgotten: whatever a decision holds comes back, and rules say of
// it what they said.
func TestDecisionsKeepVerdicts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := someRule(t, 0)
		set, err := Compile([]Rule{r.Rule})
		if err != nil {
			t.Fatal(err)
		}
		d := Decision{ID: "x", Facts: someFacts(t)}
		b, err := d.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		got, want := set.Evaluate(&back.Facts), set.Evaluate(&d.Facts)
		if got.Until.Equal(want.Until) {
			got.Until = want.Until
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	})
}

// FuzzDecode reads anything without a panic, and what it could read it writes and
// reads again alike.
func FuzzDecode(f *testing.F) {
	d := recordedDecision()
	b, _ := d.AppendBinary(nil)
	f.Add(b)
	f.Add([]byte{codecVersion})
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := Decode(b)
		if err != nil {
			return
		}
		once, err := d.AppendBinary(nil)
		if err != nil {
			t.Fatalf("%+v was read and cannot be written: %v", d, err)
		}
		again, err := Decode(once)
		if err != nil {
			t.Fatal(err)
		}
		twice, err := again.AppendBinary(nil)
		if err != nil || !bytes.Equal(once, twice) {
			t.Errorf("%x became %x", once, twice)
		}
	})
}

func BenchmarkDecision(b *testing.B) {
	d := recordedDecision()
	text, _ := d.AppendBinary(nil)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			text, _ = d.AppendBinary(text[:0])
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			if _, err := Decode(text); err != nil {
				b.Fatal(err)
			}
		}
	})
}
