package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"maps"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tidepost/gateway"
	"tidepost/suppression"
	"tidepost/suppression/lists"
)

// listMemory is a memory that takes whole lists too.
type listMemory struct {
	*memory
	run    int // entries that become durable at a time
	staged map[string]*heldList
	live   []*heldList // by publication
}

type heldList struct {
	gateway.StagedList
	entries []suppression.Entry
}

func newListMemory(m *memory) *listMemory {
	return &listMemory{memory: m, run: 1000, staged: map[string]*heldList{}}
}

func (s *listMemory) Settings() map[string][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.settings)
}

// records counts what is kept of imports under way.
func (s *listMemory) records() (n int) {
	for name, value := range s.Settings() {
		if strings.HasPrefix(name, settingImport) && value != nil {
			n++
		}
	}
	return n
}

func (s *listMemory) Stage(ctx context.Context, name string, skip int, entries iter.Seq[suppression.Entry], _ func(int)) (gateway.StagedList, error) {
	l := &heldList{StagedList: gateway.StagedList{Name: name}}
	if skip > 0 {
		if l = s.staged[name]; l == nil || l.Lines != skip {
			return gateway.StagedList{}, errors.New("cannot go on there")
		}
	}
	var taken []suppression.Entry
	keep := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		l.entries, taken = append(l.entries, taken...), nil
		l.Lines = len(l.entries)
		s.staged[name] = l
	}
	for e := range entries {
		if taken = append(taken, e); len(taken) == s.run {
			keep()
		}
	}
	if ctx.Err() != nil {
		return gateway.StagedList{}, ctx.Err()
	}
	keep()
	l.Ready, l.Entries = true, int64(len(byKey(l.entries)))
	return l.StagedList, nil
}

func (s *listMemory) Publish(_ context.Context, name, _ string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.staged[name]
	if l == nil {
		return gateway.ErrNotFound
	}
	delete(s.staged, name)
	s.live = slices.DeleteFunc(s.live, func(o *heldList) bool { return o.Name == name })
	l.Live = true
	s.live = append(s.live, l)
	return nil
}

func (s *listMemory) Discard(_ context.Context, name, _ string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.staged[name] != nil {
		delete(s.staged, name)
		return nil
	}
	n := len(s.live)
	if s.live = slices.DeleteFunc(s.live, func(o *heldList) bool { return o.Name == name }); len(s.live) == n {
		return gateway.ErrNotFound
	}
	return nil
}

func (s *listMemory) AllLists() (all []gateway.StagedList) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range append(slices.Collect(maps.Values(s.staged)), s.live...) {
		all = append(all, l.StagedList)
	}
	slices.SortFunc(all, func(a, b gateway.StagedList) int { return strings.Compare(a.Name, b.Name) })
	return all
}

type heldKey struct {
	address string
	scope   suppression.Scope
	reason  suppression.Reason
}

func byKey(entries []suppression.Entry) map[heldKey]suppression.Entry {
	m := map[heldKey]suppression.Entry{}
	for _, e := range entries {
		m[heldKey{e.Address, e.Scope, e.Reason}] = e
	}
	return m
}

// all is every entry in force, in a fixed order.
func (s *listMemory) all() []suppression.Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []suppression.Entry
	for _, l := range s.live {
		list = append(list, l.entries...)
	}
	for _, some := range s.entries {
		list = append(list, some...)
	}
	return slices.SortedFunc(maps.Values(byKey(list)), func(a, b suppression.Entry) int {
		return cmp.Or(strings.Compare(a.Address, b.Address), strings.Compare(a.Scope.String(), b.Scope.String()), strings.Compare(string(a.Reason), string(b.Reason)))
	})
}

func (s *listMemory) Entries(_ context.Context, canonical string) ([]suppression.Entry, error) {
	return slices.DeleteFunc(s.all(), func(e suppression.Entry) bool { return e.Address != canonical }), nil
}

func (s *listMemory) ScanEntries(_ context.Context, after string, yield func(string, suppression.Entry) bool) error {
	from, err := strconv.Atoi(cmp.Or(after, "0"))
	if err != nil {
		return err
	}
	for i, e := range s.all() {
		if i >= from && !yield(strconv.Itoa(i+1), e) {
			break
		}
	}
	return nil
}

func (s *listMemory) Suppressed() map[gateway.SuppressedKind]int64 {
	m := map[gateway.SuppressedKind]int64{}
	for _, e := range s.all() {
		if e.Removed.IsZero() {
			m[gateway.SuppressedKind{Reason: e.Reason, Scope: e.Scope.Kind}]++
		}
	}
	return m
}

func (s *listMemory) HasHashed() (sha256, md5 bool) {
	for _, e := range s.all() {
		sha256 = sha256 || strings.HasPrefix(e.Address, lists.SHA256+":")
		md5 = md5 || strings.HasPrefix(e.Address, lists.MD5+":")
	}
	return sha256, md5
}

// listWorld is a world whose store takes lists.
type listWorld struct {
	*world
	lists *listMemory
}

func newListWorld(t *testing.T) *listWorld {
	t.Helper()
	l := &listWorld{}
	l.world = newWorld(t, func(w *world) {
		l.lists = newListMemory(w.store)
		w.Server.Store, w.Gateway.Store = l.lists, l.lists
	})
	return l
}

// importFile sends a file and decodes the answer, a report either way.
func (w *listWorld) importFile(query, file string, want int) importDoc {
	w.t.Helper()
	rec := w.send(query, file, "")
	if rec.Code != want {
		w.t.Fatalf("import %s: status %d, want %d: %s", query, rec.Code, want, rec.Body)
	}
	var doc struct {
		importDoc
		Report importDoc
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &doc); err != nil {
		w.t.Fatalf("import %s: %v in %s", query, err, rec.Body)
	}
	if want != 200 {
		return doc.Report
	}
	return doc.importDoc
}

func (w *listWorld) send(query, file, accept string) *httptest.ResponseRecorder {
	r := w.request(Operator, "POST", suppressions+"/import?"+query, file)
	r.Header.Set("Content-Type", "application/octet-stream")
	r.Header.Set("Accept", accept)
	return w.serve(r)
}

// sendgrid is a file of SendGrid's global unsubscribes.
func sendgrid(from, to int) string {
	var b strings.Builder
	b.WriteString("email,created\n")
	for i := from; i < to; i++ {
		b.WriteString("Reader" + strconv.Itoa(i) + "@x" + strconv.Itoa(i%7) + ".test," + strconv.FormatInt(time.Date(2026, 1, 1, 0, 0, i%86400, 0, time.UTC).Unix(), 10) + "\n")
	}
	return b.String()
}
