package strict

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	limits := Limits{Depth: 4, List: 3}
	for _, tt := range []struct{ doc, want string }{
		{`{"a":1,"b":[1,2,3],"c":{"a":null}}`, ""},
		{`"text"`, ""},
		{`[[[[1]]]]`, ""},
		{``, "is cut off"},
		{`{"a":`, "is cut off"},
		{`{"a":1} {"b":2}`, "has something behind its end"},
		{`{"a":1,"A":2}`, `says "A" twice`},
		{`{"x":{"a":1,"a":2}}`, `says "a" twice`},
		{`[1,2,3,4]`, "has a list of more than 3"},
		{`[[[[[1]]]]]`, "is nested more than 4 deep"},
		{`{a:1}`, "is no JSON"},
		{strings.Repeat("[", 100_000), "is nested more than 4 deep"},
	} {
		err := Check([]byte(tt.doc), limits)
		var f *Fault
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%.40q: %v", tt.doc, err)
		case tt.want != "" && (!errors.As(err, &f) || !strings.HasPrefix(f.Problem, tt.want) || f.Remedy == ""):
			t.Errorf("%.40q: %v, want %q", tt.doc, err, tt.want)
		}
	}
	if err := Check([]byte(`[1,2,3,4,5,6]`), Limits{}); err != nil {
		t.Errorf("without limits: %v", err)
	}
}

// What passes is what encoding/json reads, too.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{`{"a":[1,{"b":null}]}`, `[]`, `{"a":1,"a":2}`, `1 2`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if Check([]byte(s), Limits{Depth: 32, List: 1000}) == nil && !json.Valid([]byte(s)) {
			t.Errorf("%q passes and is no JSON", s)
		}
	})
}
