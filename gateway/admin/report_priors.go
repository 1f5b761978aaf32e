package admin

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"tidepost/scheduler/experiment"
)

// builtIn is what plans rest on that was never learned from the audience, by tenant.
func (s *Server) builtIn(tenant string) map[string][]string {
	tenants := []string{tenant}
	if tenant == "" {
		tenants = s.experimenters(&experiment.Tallies{})
	}
	of := map[string][]string{}
	for _, t := range tenants {
		if names := s.Gateway.BuiltIn(t); len(names) > 0 {
			of[t] = names
		}
	}
	return of
}

// sayBuiltIn says which tenants' plans rest on what.
func (r *reportDoc) sayBuiltIn(of map[string][]string) {
	if r.Planned == 0 || len(of) == 0 {
		return
	}
	r.BuiltIn = of
	tenants := map[string][]string{} // by what is built in for them
	for _, t := range slices.Sorted(maps.Keys(of)) {
		what := strings.Join(of[t], ", ")
		tenants[what] = append(tenants[what], mark(t))
	}
	for _, what := range slices.Sorted(maps.Keys(tenants)) {
		whose := ""
		if list := tenants[what]; len(tenants) > 1 {
			whose = fmt.Sprintf(" for %s", plural(int64(len(list)), "tenant", "tenants"))
			if len(list) <= 3 {
				whose = " for " + strings.Join(list, ", ")
			}
		}
		r.say("Built in, not learned from this audience%s: %s.", whose, what)
	}
}
