package content

import (
	"strings"
	"testing"

	"github.com/emersion/go-msgauth/dkim"

	"tidepost/gateway"
)

func TestComplaints(t *testing.T) {
	ours := Signer{"example.com", "e", keys()["ed25519"]}
	asked := gateway.Marks{Complaints: "b-x@bounce.example.com"}
	const field = "CFBL-Address: b-x@bounce.example.com; report=arf\r\n"
	for _, tt := range []struct {
		story, mail string
		marks       gateway.Marks
		signers     []Signer
		want        bool
	}{
		{"signed by us, and the address is below", message("x", "From: a@example.com"), asked, []Signer{ours}, true},
		{"nobody signs", message("x", "From: a@example.com"), asked, nil, false},
		{"another domain's mail", message("x", "From: a@example.org"), asked, []Signer{ours}, false},
		{"an address elsewhere", message("x", "From: a@example.com"), gateway.Marks{Complaints: "b-x@example.net"}, []Signer{ours}, false},
		{"it names one itself", message("x", "From: a@example.com", "cfbl-address: f@example.com; report=arf"), asked, []Signer{ours}, false},
		{"nobody asks", message("x", "From: a@example.com"), gateway.Marks{}, []Signer{ours}, false},
		{"somebody else has signed it", message("x", "DKIM-Signature: v=1; d=esp.example", "From: a@example.com"), asked, []Signer{ours}, false},
	} {
		left := mark(t, &Composer{Hostname: "gw", Signers: tt.signers}, stored(t, tt.mail), tt.marks)
		if got := strings.Contains(left, field); got != tt.want {
			t.Errorf("%s: has the field: %t\n%s", tt.story, got, left)
		}
		if !tt.want {
			continue
		}
		verify(t, left, zone(ours))
		// The signature covers it: another address does not verify.
		results, err := dkim.VerifyWithOptions(strings.NewReader(strings.Replace(left, "b-x@", "c-x@", 1)), zone(ours))
		if err != nil || len(results) != 1 || results[0].Err == nil {
			t.Errorf("%s: with another address it verifies still: %v, %v", tt.story, results, err)
		}
	}
}

// A stranger who knows a return path gets no signature of ours for what is written to
// it: it is passed on as it came.
func TestReturnedIsNotSigned(t *testing.T) {
	s := stored(t, message("pay me", "From: boss@example.com"))
	s.Message.Returned = true
	c := &Composer{Hostname: "gw", Signers: []Signer{{"example.com", "e", keys()["ed25519"]}}}
	if got, want := withoutReceived(t, mark(t, c, s, gateway.Marks{}), s), message("pay me", "From: boss@example.com"); got != want {
		t.Errorf("it leaves as\n%s", got)
	}
}
