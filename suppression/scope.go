package suppression

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName is the longest scope name in bytes; a List-Id may have 255 (RFC 2919 §2).
const maxName = 255

// ScopeKind is how wide an entry reaches.
type ScopeKind uint8

// The kinds of scope, widest first.
const (
	Global   ScopeKind = iota // everybody's mail
	Audience                  // tenants that share profiles and opt-outs
	Tenant                    // one sender
	List                      // one List-Id, or TENANT/LIST-ID: that tenant's mail of it
	Category                  // a topic of the sender's
	Class                     // newsletter, promotional and so on
)

var kindNames = [...]string{"global", "audience", "tenant", "list", "category", "class"}

// String is the kind's word in the text form of a scope.
func (k ScopeKind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "unknown"
}

// Scope is whose mail an entry stops. The zero value is global.
type Scope struct {
	Kind ScopeKind
	Name string // empty for Global only
}

// ParseScope reads "global" or a kind and a name: "tenant:acme",
// "list:news.example.com".
func ParseScope(s string) (Scope, error) {
	word, name, colon := strings.Cut(s, ":")
	for kind, known := range kindNames {
		if word != known {
			continue
		}
		scope := Scope{Kind: ScopeKind(kind), Name: name}
		if scope.Kind == Global && colon {
			break
		}
		return scope, scope.Validate()
	}
	return Scope{}, fmt.Errorf("scope %q is unknown: use global, or audience, tenant, list, category or class with a name, like tenant:acme", s)
}

// String is the form that ParseScope reads.
func (s Scope) String() string {
	if s.Kind == Global {
		return s.Kind.String()
	}
	return s.Kind.String() + ":" + s.Name
}

// Validate reports what is wrong with the scope.
func (s Scope) Validate() error {
	switch {
	case int(s.Kind) >= len(kindNames):
		return fmt.Errorf("scope kind %d is unknown: use 0 to %d", s.Kind, len(kindNames)-1)
	case s.Kind == Global && s.Name != "":
		return fmt.Errorf("scope global has the name %q: remove it", s.Name)
	case s.Kind != Global && s.Name == "":
		return fmt.Errorf("scope %s has no name: write %s:NAME", s.Kind, s.Kind)
	case len(s.Name) > maxName:
		return fmt.Errorf("scope name is %d bytes long: shorten it to %d", len(s.Name), maxName)
	case !utf8.ValidString(s.Name) || strings.ContainsFunc(s.Name, unprintable):
		return fmt.Errorf("scope name %q has spaces or characters that cannot be seen: remove them", s.Name)
	}
	return nil
}

func unprintable(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) }

// TenantList is the scope of one tenant's mail of a list.
func TenantList(tenant, list string) Scope { return Scope{List, tenant + "/" + list} }

// covers reports whether mail with these marks falls under the scope.
func (s Scope) covers(q *Query) bool {
	switch s.Kind {
	case Global:
		return true
	case Audience:
		return s.Name == q.Audience
	case Tenant:
		return s.Name == q.Tenant
	case List:
		// RFC 2919 §6: List-Ids have no case. What a tenant's readers say of one is said
		// of that tenant's mail alone: anybody can write anybody's List-Id.
		return q.List != "" && (strings.EqualFold(s.Name, q.List) || strings.EqualFold(s.Name, TenantList(q.Tenant, q.List).Name))
	case Category:
		return s.Name == q.Category
	case Class:
		return s.Name == q.Class
	}
	return false
}
