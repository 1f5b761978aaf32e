package bus

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tidepost/gateway"
)

func TestSignalsOfEveryKind(t *testing.T) {
	r := newRig(t, nil)
	r.signalStream()
	var took sync.Map
	e := newEar()
	s, stop := r.listen(e, func(s *Signals) {
		s.Took = func(k gateway.SignalKind, since time.Duration) { took.Store(k, since) }
	})
	for i, k := range gateway.SignalKinds() {
		m := signal(string(k), i)
		r.publish(m)
		m.Subject = fromTenant + "acme" + signalOf + string(k)
		m.Data = []byte(strings.Replace(string(m.Data), `"tenant":"acme"`, `"source":"shop"`, 1))
		r.publish(m)
	}
	n := len(gateway.SignalKinds())
	eventually(t, "all are applied", func() bool {
		l := s.Lag()
		return e.count() == 2*n && l.Permission.Pending+l.Evidence.Pending == 0 && l.Permission.Applied+l.Evidence.Applied == uint64(2*n)
	})
	stop()
	e.once(t, 2*n)
	for _, s := range e.heard() {
		if want := s.Kind.Permission(); want != (s.Place.Lane == gateway.LanePermission) || s.Tenant != "acme" {
			t.Errorf("applied %+v", s)
		}
		if since, ok := took.Load(s.Kind); !ok || since.(time.Duration) <= 0 || since.(time.Duration) > time.Minute {
			t.Errorf("%s took %v", s.Kind, since)
		}
	}
	l := s.Lag()
	if l.Permission.Applied != 8 || l.Evidence.Applied != uint64(2*n-8) || l.Permission.Pending != 0 || l.Permission.Age != 0 {
		t.Errorf("lag %+v", l)
	}
	if len(r.rejected()) != 0 {
		t.Errorf("rejected %s", r.rejected()[0].Data)
	}
}

// The same signals, published while they are applied and in one go, arrive once
// and in order, whenever the process dies between applying, saving and
// acknowledging.
func TestSignalsOnceAcrossKills(t *testing.T) {
	r := newRig(t, nil)
	r.signalStream()
	e := newEar()
	const n = 6000
	published := make(chan struct{})
	go func() {
		defer close(published)
		for i := 0; i < n; i += 100 {
			r.publish(append(signals("clicked", i, i+90), signals("unsubscribed", i+90, i+100)...)...)
		}
	}()
	random := rand.New(rand.NewPCG(1, 2))
	for i := 0; e.count() < n; i++ {
		e.set(func(e *ear) { e.forgetful = i%2 == 0 })
		_, stop := r.listen(e, nil)
		time.Sleep(time.Duration(random.IntN(60)) * time.Millisecond)
		stop()
		if i > 2000 {
			t.Fatalf("%d of %d are applied", e.count(), n)
		}
	}
	<-published
	e.set(func(e *ear) { e.forgetful = false })
	s, _ := r.listen(e, nil)
	eventually(t, "nothing waits", func() bool {
		l := s.Lag()
		return l.Evidence.Pending == 0 && l.Evidence.Err == "" && e.StreamCursor(gateway.LaneEvidence).Seq == n
	})
	e.once(t, n)
	if e.calls == n {
		t.Error("nothing was delivered again: the test tests nothing")
	}
}

func TestPermissionBeforeEvidence(t *testing.T) {
	r := newRig(t, nil)
	r.signalStream()
	const n = 50_000
	r.publish(signals("opened", 0, n)...)
	r.publish(signals("unsubscribed", 0, 700)...)
	e := newEar()
	s, _ := r.listen(e, nil)
	eventually(t, "evidence is under way", func() bool { return e.count() > 1000 })
	for i, s := range e.heard()[:700] {
		if s.Kind != gateway.SignalUnsubscribed {
			t.Fatalf("signal %d to be applied is %s", i, s.Kind)
		}
	}
	began := time.Now()
	r.publish(signal("unsubscribed", 7_777))
	eventually(t, "an opt-out overtakes the queue", func() bool { return s.Lag().Permission.Applied == 701 })
	took := time.Since(began)
	if waits := s.Lag().Evidence.Pending; took > time.Second || waits < 10_000 {
		t.Errorf("an opt-out behind %d signals took %v", waits, took)
	}
	eventually(t, "all are applied", func() bool { return e.count() == n+701 })
	e.once(t, n+701)
}

// What the lane of permission cannot apply holds up evidence, and its age is told.
func TestEvidenceWaitsForPermission(t *testing.T) {
	r := newRig(t, nil)
	r.signalStream()
	e := newEar()
	e.refuse = func(s gateway.Signal) error {
		if s.Kind.Permission() {
			return errStore
		}
		return nil
	}
	s, _ := r.listen(e, nil)
	r.publish(signals("unsubscribed", 0, 5)...)
	eventually(t, "it stalls", func() bool { return strings.Contains(s.Lag().Permission.Err, errStore.Error()) })
	r.publish(signals("opened", 0, 40)...)
	time.Sleep(30 * time.Millisecond)
	if l := s.Lag(); l.Permission.Age < 30*time.Millisecond || l.Permission.Pending < 5 || e.count() > 0 {
		t.Errorf("lag %+v; %d applied", l.Permission, e.count())
	}
	e.set(func(e *ear) { e.refuse = nil })
	eventually(t, "all are applied", func() bool { return e.count() == 45 })
	eventually(t, "the lag is gone", func() bool { l := s.Lag().Permission; return l.Age == 0 && l.Pending == 0 && l.Err == "" })
}

func TestSignalsThroughOutage(t *testing.T) {
	r := newRig(t, nil)
	r.signalStream()
	e := newEar()
	s, _ := r.listen(e, func(s *Signals) { s.Rate = 20_000 })
	for i := 0; i < 5; i++ {
		r.publish(append(signals("opened", i*1000, i*1000+900), signals("complained", i*1000+900, i*1000+1000)...)...)
		r.restart(func() {
			eventually(t, "it notices", func() bool { return s.Lag().Permission.Err != "" && s.Lag().Evidence.Err != "" })
		})
	}
	eventually(t, "all are applied", func() bool { return e.count() == 5000 })
	e.once(t, 5000)
	if l := s.Lag(); l.Recreated != 0 || l.Evidence.Missed != 0 {
		t.Errorf("lag %+v", l)
	}
}

// A store that can take nothing loses nothing: not one signal is given up.
func TestSignalsOutliveTheStoresErrors(t *testing.T) {
	r := newRig(t, nil)
	r.signalStream()
	e := newEar()
	e.broken = errStore
	s, _ := r.listen(e, func(s *Signals) { s.most = time.Millisecond })
	r.publish(append(signals("opened", 0, 100), signals("bounced", 100, 200)...)...)
	eventually(t, "it stalls", func() bool { return strings.Contains(s.Lag().Permission.Err, errStore.Error()) })
	time.Sleep(50 * time.Millisecond)
	e.set(func(e *ear) { e.broken = nil })
	eventually(t, "all are applied", func() bool { return e.count() == 200 })
	e.once(t, 200)
	if l := s.Lag(); l.Permission.Rejected+l.Evidence.Rejected > 0 {
		t.Errorf("lag %+v", l)
	}
}

// One signal that the gateway can never apply holds up the others for a while only.
func TestSignalThatIsNeverApplied(t *testing.T) {
	r := newRig(t, nil)
	r.signalStream()
	e := newEar()
	e.refuse = func(s gateway.Signal) error {
		switch s.ID {
		case "7":
			return errors.New("a riddle")
		case "9":
			return &gateway.SignalError{Field: "message", Problem: "is of another tenant", Remedy: "name your own"}
		}
		return nil
	}
	s, _ := r.listen(e, func(s *Signals) { s.most = time.Millisecond })
	r.publish(signals("clicked", 0, 20)...)
	eventually(t, "the others are applied", func() bool { return e.count() == 18 && s.Lag().Evidence.Pending == 0 })
	e.once(t, 18)
	all := r.rejected()
	if len(all) != 2 || !strings.Contains(string(all[0].Data), "again and again") || !strings.Contains(string(all[1].Data), "message is of another tenant") {
		t.Errorf("%d are rejected: %s", len(all), all[0].Data)
	}
}

func TestSignalsAreRejected(t *testing.T) {
	r := newRig(t, nil)
	r.signalStream()
	good := string(signal("opened", 1).Data)
	from := fromTenant + "acme" + signalOf
	cases := []struct{ subject, data, field, reason string }{
		{SignalSubject + "opened", `{"mailbox"`, "signal", "signal is no JSON object that we know: unexpected end of JSON input"},
		{SignalSubject + "opened", "", "signal", "signal is no JSON object"},
		{SignalSubject + "unsubscribed", "\xff\xfe", "signal", "signal is no JSON object"},
		{SignalSubject + "clicked", `{"mailbox":"` + strings.Repeat("é", gateway.MaxSignal) + `"}`, "signal", "signal has 131086 bytes"},
		{SignalSubject + "opened", `{"tenant":"acme","mailbox":"no"}`, "mailbox", "mailbox is no address"},
		{SignalSubject + "opened", `{"mailbox":"a@example.com"}`, "tenant", "tenant is missing"},
		{SignalSubject + "opened", `{"mailbox":"a@example.com","tenant":"stranger"}`, "tenant", `tenant "stranger" is unknown`},
		{SignalSubject + "exploded", good, "kind", "kind is unknown"},
		{SignalSubject + "clicked", `{"kind":"opened",` + good[1:], "kind", `kind is "opened", and the subject says "clicked"`},
		{from + "opened", `{"tenant":"other","mailbox":"a@example.com"}`, "tenant", `tenant is "other", and the subject says "acme"`},
		{from + "rejected", good, "kind", "kind is unknown"},
		{fromTenant + "stranger" + signalOf + "opened", `{"mailbox":"a@example.com"}`, "tenant", `tenant "stranger" is unknown`},
		{SignalSubject + "consent", good, "data", "data says nothing"},
	}
	r.publish(&nats.Msg{Subject: RejectedSubject, Header: nats.Header{}, Data: []byte("another's")})
	for _, c := range cases {
		r.publish(&nats.Msg{Subject: c.subject, Header: nats.Header{}, Data: []byte(c.data)})
	}
	r.publish(signals("opened", 0, 5)...)
	known := func(tenant string) bool { return tenant == "acme" }
	for range 2 { // the second time nothing is remembered, and what comes again is one
		e := newEar()
		s, stop := r.listen(e, func(s *Signals) { s.Tenants = known })
		eventually(t, "what is behind is applied", func() bool { return e.count() == 5 })
		eventually(t, "all are rejected", func() bool { return s.Lag().Permission.Rejected == 2 && s.Lag().Evidence.Rejected == 11 })
		stop()
	}
	all := r.rejected()[1:]
	if len(all) != len(cases) {
		t.Fatalf("%d are rejected, want %d", len(all), len(cases))
	}
	for _, m := range all {
		var j rejectionJSON
		if err := json.Unmarshal(m.Data, &j); err != nil {
			t.Fatal(err)
		}
		c := cases[j.Sequence-2]
		if j.Field != c.field || !strings.HasPrefix(j.Reason, c.reason) || j.Remedy == "" || j.Subject != c.subject || j.Stream != SignalStream || j.At == "" {
			t.Errorf("rejected as %+v\nwant %+v", j, c)
		}
		if want := strings.ToValidUTF8(c.data, "\uFFFD"); !strings.HasPrefix(want, j.Data) || j.Truncated != (len(want) > len(j.Data)) || len(j.Data) > keptOfRejected ||
			strings.Contains(j.Data, "\uFFFD") && len(c.data) > 10 {
			t.Errorf("of %.40q %.40q is told", c.data, j.Data)
		}
	}
}

// Messages that look like word from the server are signals like others, and so
// are those with the largest body that NATS takes.
func TestSignalsThatPretend(t *testing.T) {
	r := newRig(t, nil)
	r.signalStream()
	e := newEar()
	s, _ := r.listen(e, nil)
	for _, status := range []string{"100", "404", "408", "409", "503", "x"} {
		for _, kind := range []string{"opened", "complained"} {
			r.publish(&nats.Msg{Subject: SignalSubject + kind, Header: nats.Header{"Status": {status}, "Description": {"Consumer Deleted"}}})
		}
	}
	for range 20 {
		r.publish(&nats.Msg{Subject: SignalSubject + "opened", Header: nats.Header{}, Data: make([]byte, 1<<20-100)})
	}
	r.publish(signal("opened", 1), signal("complained", 2))
	eventually(t, "what is behind is applied", func() bool { return e.count() == 2 })
	eventually(t, "the others are rejected", func() bool { l := s.Lag(); return l.Permission.Rejected == 6 && l.Evidence.Rejected == 26 })
}

// A stream that takes no rejections holds up nothing.
func TestRejectionsAreRefused(t *testing.T) {
	r := newRig(t, nil)
	full := jetstream.StreamConfig{Name: SignalStream, Subjects: []string{"tidepost.signal.>", "tidepost.from.>", "else.>"}, MaxMsgs: 60, Discard: jetstream.DiscardNew}
	if _, err := r.js().CreateStream(t.Context(), full); err != nil {
		t.Fatal(err)
	}
	var msgs []*nats.Msg
	for i := range 59 {
		m := signal("opened", i)
		if i%2 == 0 {
			m.Data = []byte("junk")
		}
		msgs = append(msgs, m)
	}
	r.publish(append(msgs, &nats.Msg{Subject: "else.where", Header: nats.Header{}})...)
	e := newEar()
	s, _ := r.listen(e, nil)
	eventually(t, "all are looked at", func() bool { return s.Lag().Evidence.Rejected == 30 && e.StreamCursor(gateway.LaneEvidence).Seq == 60 })
	if l := s.Lag().Evidence; l.Unrecorded != 30 || l.Err != "" || e.count() != 29 {
		t.Errorf("lag %+v; %d applied", l, e.count())
	}
	info, err := r.js().Stream(t.Context(), SignalStream)
	if err != nil {
		t.Fatal(err)
	}
	if c := info.CachedInfo().Config; c.MaxMsgs != 60 || c.Discard != jetstream.DiscardNew || !c.AllowAtomicPublish || len(c.Subjects) != 3 {
		t.Errorf("the operator's stream became %+v", c)
	}
}

func TestSignalsNeedTheirParts(t *testing.T) {
	if err := (&Signals{}).Run(t.Context()); err == nil {
		t.Error("it runs without hearer and connection")
	}
	if err := (&Signals{}).Resume(t.Context()); err == nil {
		t.Error("it resumes without a hearer")
	}
}

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		pattern, subject string
		want             bool
	}{
		{"a.>", "a.b.*", true}, {"a.*", "a.*", true}, {"a.*", "a.b", true}, {"a.b", "a.*", false}, {"a.*", "a.>", false},
		{"a.*", "a.b.c", false}, {"a.b.c", "a.b", false}, {">", "a", true}, {"a.>", "a", false}, {"a.>", "a.>", true},
	} {
		if got := covers(c.pattern, c.subject); got != c.want {
			t.Errorf("covers(%s, %s) = %v", c.pattern, c.subject, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for i, k := range gateway.SignalKinds() {
		m := signal(string(k), i)
		f.Add(m.Subject, m.Data)
	}
	f.Add(fromTenant+"acme"+signalOf+"clicked", []byte(`{"mailbox":"a@example.com","human":0.5,"data":{"link":"x","ip":"::1"}}`))
	f.Add(fromTenant+"signal.signal.signal.opened", []byte(`null`))
	f.Fuzz(func(t *testing.T, subject string, data []byte) {
		lane, mine := laneOf(subject)
		if !mine {
			return
		}
		s, wrong := parse(subject, data, func(tenant string) bool { return tenant != "stranger" })
		if wrong != nil {
			if wrong.Field == "" || wrong.Problem == "" || wrong.Remedy == "" {
				t.Errorf("rejected with %+v", wrong)
			}
			return
		}
		kind, tenant, _ := parseSubject(subject)
		if string(s.Kind) != kind || tenant != "" && s.Tenant != tenant || s.Tenant == "" || s.Tenant == "stranger" || s.Source == "" ||
			s.Kind.Permission() != (lane == gateway.LanePermission) || s.Forward != "" || fmt.Sprint(s.Mailbox) == "" {
			t.Errorf("%s %s became %+v", subject, data, s)
		}
	})
}
