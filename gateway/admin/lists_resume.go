package admin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"time"

	"tidepost/gateway"
	"tidepost/suppression"
	"tidepost/suppression/lists"
)

// settingImport begins the names of what is kept of imports under way.
const settingImport = "import/"

// importRecord is what an import rests on. With the same file, the same options and
// the same idea of the present every line becomes the same entry again, so that those
// that are durable can be left out.
type importRecord struct {
	Digest  string             `json:"digest"` // SHA-256 of the file as it is sent, in hex
	Format  lists.Format       `json:"format"`
	Tenant  string             `json:"tenant"`
	Scope   string             `json:"scope"`
	Reason  suppression.Reason `json:"reason"`
	Skip    bool               `json:"skip"`    // bad lines are left out
	Version string             `json:"version"` // of the gateway: another may read a line otherwise
	Now     time.Time          `json:"now"`
	By      string             `json:"by"`
}

// same reports whether both make the same entries.
func (r importRecord) same(o importRecord) bool {
	o.Now, o.By = r.Now, r.By
	return r == o
}

// listName is the name of an import that has none: of the same file with the same
// options it is the same again, and the new list takes the old one's place.
func (r importRecord) listName() string {
	if r.Digest == "" {
		return "import-" + r.Now.UTC().Format("20060102T150405.000Z")
	}
	h := sha256.New()
	for _, part := range []string{r.Digest, string(r.Format), r.Tenant, r.Scope, string(r.Reason)} {
		h.Write([]byte(part + "\n")) // none has a line end
	}
	return "import-" + hex.EncodeToString(h.Sum(nil)[:6])
}

// importRecord returns what is kept of an import under way.
func (s *Server) importRecord(name string) (r importRecord, ok bool) {
	kept, can := s.Store.(gateway.Settings)
	if !can {
		return r, false
	}
	value := kept.Settings()[settingImport+name]
	return r, len(value) > 0 && json.Unmarshal(value, &r) == nil
}

func (s *Server) keepImport(ctx context.Context, name string, r importRecord) error {
	value, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return s.Store.Commit(ctx, &gateway.Change{Settings: []gateway.Setting{{Name: settingImport + name, Value: value}}})
}

func (s *Server) forgetImport(ctx context.Context, name string) error {
	if _, ok := s.importRecord(name); !ok {
		return nil
	}
	return s.Store.Commit(ctx, &gateway.Change{Settings: []gateway.Setting{{Name: settingImport + name}}})
}

// resumeImport returns how many entries of the import are durable, and takes over its idea
// of the present.
func (s *Server) resumeImport(all gateway.Lists, a *importAsk) (skip int, err error) {
	if a.record.Digest == "" {
		return 0, invalid("digest", "is missing: without it nobody can tell that the file is the same", "say the SHA-256 of the file in hex")
	}
	for _, l := range all.AllLists() {
		if l.Name == a.name && !l.Live && !l.Ready {
			skip = l.Lines
		}
	}
	if skip == 0 {
		return 0, nil // nothing is durable yet: it begins
	}
	old, ok := s.importRecord(a.name)
	if !ok || !old.same(a.record) {
		return 0, &Problem{Status: http.StatusConflict, Detail: "what is there of list " + a.name + " came from another file, with other options or from another version of the gateway",
			Remedy: "begin anew, without resume"}
	}
	a.record.Now = old.Now
	return skip, nil
}
