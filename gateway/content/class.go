package content

import (
	"strings"

	"tidepost/gateway"
)

// classify applies the rule of design §4.3. Marks of bulk mail give the class
// that the credential names; a message without any is transactional.
func classify(v *values, c *gateway.Credential) {
	class, reason := saidClass(v)
	if reason == "" {
		class, reason = markedClass(v, bulkClass(c))
	}
	if c != nil && !c.MayClass(class) {
		v.note("class %s: credential %q may not send it (credential.classes); taken as %s", class, c.Name, c.BulkClass)
		class, reason = c.BulkClass, reason+", but not in credential.classes"
	}
	v.m.Class, v.m.ClassReason = class, reason
}

// bulkClass is what bulk mail is where nobody said; mail without a credential
// is somebody's newsletter until it says more.
func bulkClass(c *gateway.Credential) gateway.Class {
	if c == nil {
		return gateway.Newsletter
	}
	return c.BulkClass
}

func saidClass(v *values) (gateway.Class, string) {
	value := v.get(hClass, maxName)
	if value == nil {
		return 0, ""
	}
	class, err := gateway.ParseClass(strings.ToLower(string(value)))
	if err != nil {
		v.reject(hClass, value, "transactional, triggered, newsletter or promotional")
		return 0, ""
	}
	return class, "X-Tidepost-Class"
}

func markedClass(v *values, bulk gateway.Class) (gateway.Class, string) {
	switch precedence := unfold(v.first[hPrecedence]); {
	case v.has(hListmonkCampaign):
		return bulk, "X-Listmonk-Campaign"
	case strings.EqualFold(string(precedence), "bulk"):
		return bulk, "Precedence: bulk"
	case strings.EqualFold(string(precedence), "list"):
		return bulk, "Precedence: list"
	case v.has(hListID):
		return bulk, "List-Id"
	case v.has(hListUnsubscribe):
		return gateway.Triggered, "List-Unsubscribe alone"
	}
	return gateway.Transactional, "no mark of bulk mail"
}
