package content

import (
	"strings"

	"tidepost/gateway"
)

// appendComplaints asks for complaints to be sent to us (CFBL-Address, RFC 9477 §3.1).
// It is worth something only where a signature of the From domain covers it and its
// address is of that domain or below it; a mail that names an address keeps it.
func appendComplaints(b, header []byte, marks gateway.Marks, signers []*Signer) []byte {
	at := strings.LastIndexByte(marks.Complaints, '@')
	if at < 0 || len(signers) == 0 || !below(marks.Complaints[at+1:], signers[0].Domain) {
		return b
	}
	s := scanner{b: header}
	for f, ok := s.next(); ok; f, ok = s.next() {
		if f.is("cfbl-address") {
			return b
		}
	}
	b = append(b, "CFBL-Address: "...)
	b = append(b, marks.Complaints...)
	return append(b, "; report=arf\r\n"...)
}
