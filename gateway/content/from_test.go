package content

import (
	"strings"
	"testing"

	"tidepost/gateway"
)

func TestTwoFroms(t *testing.T) { // attacks A15
	_, err := read(t, nil, "From: a@x.test", "Subject: x", "from : a@x.test")
	refused(t, "two From fields", err, 550, "5.6.0", "more than one From")
}

// A credential limited to some domains may show no other to a reader.
func TestSenders(t *testing.T) { // attacks A15, A17
	c := &gateway.Credential{Name: "shop", Senders: []string{"shop.test"}}
	for _, row := range []struct {
		from, refusal string
	}{
		{"a@shop.test", ""},
		{"A@SHOP.test", ""},
		{"The Shop <a@shop.test>", ""},
		{"=?utf-8?q?B=C3=BCcher?= <a@shop.test>", ""},
		{"=?iso-2022-jp?b?GyRCJUYlOSVIGyhC?= <a@shop.test>", ""},
		{`"Shop, Inc. @ home" <a@shop.test>`, ""},
		{"a@shop.test, b@shop.test", ""},
		{"Team: a@shop.test, b@shop.test;", ""},
		{"a@bank.test", "bank.test"},
		{"a@mail.shop.test", "mail.shop.test"},
		{"a@notshop.test", "notshop.test"},
		{"a@shop.test, b@bank.test", "bank.test"},
		{"a@bank.test <b@shop.test>", "cannot be read"},
		{`"a@bank.test" <b@shop.test>`, "bank.test"},
		{"=?utf-8?q?a=40bank.test?= <b@shop.test>", "bank.test"},
		{"=?utf-8?b?YUBiYW5rLnRlc3Q=?= <b@shop.test>", "bank.test"},
		{"b@shop.test (a@bank.test)", "bank.test"},
		{"Team: a@shop.test, b@bank.test;", "bank.test"},
		{"undisclosed:;", "cannot be read"},
		{"nobody", "cannot be read"},
		{"a@[192.0.2.1]", "192.0.2.1"},
		{"a@[" + strings.Repeat("x", 262144) + "]", ""},
		{strings.Repeat("(", 3000) + "a@shop.test", "cannot be read"},
		{`"` + strings.Repeat("x", 10<<10) + `" <a@shop.test>`, "longer than 4096 bytes"},
		{strings.Repeat("=?utf-8?q?x", 300) + " <a@shop.test>", ""},
		{"", "cannot be read"},
	} {
		_, err := read(t, c, "From: "+row.from)
		switch {
		case len(row.from) > MaxField:
			refused(t, row.from[:10], err, 554, "5.6.0", "larger than 64 KiB")
		case row.refusal != "":
			refused(t, row.from[:min(len(row.from), 40)], err, 550, "5.7.1", row.refusal)
		case err != nil:
			t.Errorf("From: %.40s: %v", row.from, err)
		}
	}
	_, err := read(t, c, "Subject: no From")
	refused(t, "no From", err, 550, "5.7.1", "credential.senders")
	if _, err := read(t, &gateway.Credential{}, "From: "+strings.Repeat("x", 10<<10)); err != nil {
		t.Errorf("a From nobody looks into: %v", err)
	}
}
