package lists

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"tidepost/suppression"
)

var update = flag.Bool("update", false, "write the golden files")

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func acme(o Options) Options {
	o.Tenant, o.Now = "acme", noon
	return o
}

// tell is a row on one line.
func tell(r Row) string {
	who := r.Entry.Address
	if r.Hash.Kind != "" {
		who = r.Hash.Kind + " " + r.Hash.String()[:8]
	}
	if r.Skipped != "" {
		return fmt.Sprintf("%d %s skipped: %s", r.Line, r.Original, r.Skipped)
	}
	s := fmt.Sprintf("%d %s %s %s", r.Line, who, r.Entry.Reason, r.Entry.Scope)
	if !r.Entry.Created.Equal(noon) {
		s += " created " + r.Entry.Created.Format(time.DateOnly)
	}
	if !r.Entry.Expires.IsZero() {
		s += " expires " + r.Entry.Expires.Format(time.DateOnly)
	}
	if !r.Entry.Removed.IsZero() {
		s += " removed " + r.Entry.Removed.Format(time.DateOnly)
	}
	if r.Entry.Evidence != "" {
		s += fmt.Sprintf(" evidence %q", r.Entry.Evidence)
	}
	if r.Entry.Note != "" {
		s += fmt.Sprintf(" note %q", r.Entry.Note)
	}
	return s
}

func story(r io.Reader, opt Options) string {
	var b strings.Builder
	for row, err := range Read(r, opt) {
		if err != nil {
			fmt.Fprintf(&b, "! %v\n", err)
			continue
		}
		fmt.Fprintln(&b, tell(row))
	}
	return b.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

// Every service's file, as it comes, and what each of its lines becomes. Only
// SendGrid's bounces and blocks must be told apart by the user.
func TestProviders(t *testing.T) {
	tests := []struct {
		file   string
		opt    Options
		format Format
	}{
		{"sendgrid-bounces.csv", Options{Format: SendGridBounces}, SendGridBounces},
		{"sendgrid-blocks.csv", Options{Format: SendGridBlocks}, SendGridBlocks},
		{"sendgrid-spam.csv", Options{}, SendGridSpam},
		{"sendgrid-invalid.csv", Options{}, SendGridInvalid},
		{"sendgrid-unsubscribes.csv", Options{}, SendGridUnsubs},
		{"sendgrid-groups.json", Options{}, SendGridGroups},
		{"mailgun-bounces.csv", Options{}, MailgunBounces},
		{"mailgun-unsubscribes.json", Options{}, MailgunUnsubs},
		{"mailgun-complaints.csv", Options{}, MailgunComplaints},
		{"ses.jsonl", Options{}, SES},
		{"ses-import.csv", Options{}, SES},
		{"postmark.json", Options{}, Postmark},
		{"sparkpost.csv", Options{}, SparkPost},
		{"listmonk.csv", Options{}, Listmonk},
		{"cloudflare.csv", Options{}, Cloudflare},
		{"telnyx.csv", Options{}, Telnyx},
		{"resend.json", Options{}, Resend},
		{"tidepost.csv", Options{}, Tidepost},
		{"plain.txt", Options{Reason: suppression.Manual}, Plain},
		{"hashed.txt", Options{Reason: suppression.Unsubscribe}, Hashed},
		{"hashed.csv", Options{Reason: suppression.Unsubscribe}, Hashed},
	}
	told := map[Format]bool{}
	for _, tt := range tests {
		file, err := os.ReadFile(filepath.Join("testdata", tt.file))
		if err != nil {
			t.Fatal(err)
		}
		for row, err := range Read(strings.NewReader(string(file)), acme(tt.opt)) {
			if err == nil && row.Format != tt.format {
				t.Errorf("%s is taken for %s", tt.file, row.Format)
			}
			if err == nil && row.Skipped == "" && tt.format != Tidepost && row.Entry.Source != "import:"+string(tt.format) {
				t.Errorf("%s: source %q", tt.file, row.Entry.Source)
			}
		}
		golden(t, tt.file+".want", story(strings.NewReader(string(file)), acme(tt.opt)))
		// In drops of one byte and with other line ends it says the same.
		got := story(iotest.OneByteReader(strings.NewReader(strings.ReplaceAll(string(file), "\n", "\r\n"))), acme(tt.opt))
		if want, _ := os.ReadFile(filepath.Join("testdata", tt.file+".want")); got != string(want) {
			t.Errorf("%s with CRLF: got\n%s\nwant\n%s", tt.file, got, want)
		}
		told[tt.format] = true
	}
	for _, s := range Shapes() {
		if !told[s.Format] {
			t.Errorf("no fixture for %s", s.Format)
		}
	}
}

// The header in the table is one that is recognised, in any order and case.
func TestShapesAreRecognised(t *testing.T) {
	for _, s := range Shapes() {
		var folded []string
		for _, c := range strings.Split(s.Header, ",") {
			folded = append([]string{string(fold(nil, []byte(strings.ToUpper(c))))}, folded...)
		}
		got, bad := recognise(folded)
		if twin := shapeOf(s.Format).twin; twin != "" {
			if bad == nil || !strings.Contains(bad.Error(), string(twin)) {
				t.Errorf("%s: two lists have this header: %v", s.Format, bad)
			}
		} else if bad != nil || got.Format != s.Format {
			t.Errorf("%s: %v, taken for %v", s.Format, bad, got)
		}
		if s.Service == "" || s.Becomes == "" || s.Known == "" {
			t.Errorf("%s has a hole in the table", s.Format)
		}
	}
}

var (
	manual       = Options{Reason: suppression.Manual}
	news, global = &suppression.Scope{Kind: suppression.List, Name: "news.acme.example"}, &suppression.Scope{}
)

var stories = []struct {
	story, file string
	opt         Options
	want        string
}{
	{"nothing", "", manual, ""},
	{"blank lines", "\n \n\r\n", manual, ""},
	{"a mark in front", "\xef\xbb\xbfemail,created\na@x.test,1760000000\n", Options{}, "2 a@x.test unsubscribe tenant:acme created 2025-10-09\n"},
	{"only CR", "a@x.test\rb@x.test\r", manual, "1 a@x.test manual tenant:acme\n2 b@x.test manual tenant:acme\n"},
	{"no end of line at the end", "a@x.test\nb@x.test", manual, "1 a@x.test manual tenant:acme\n2 b@x.test manual tenant:acme\n"},
	{"tabs", "recipient\ttype\tsource\na@x.test\ttransactional\tBounce Rule\n", Options{}, "2 a@x.test hard_bounce global evidence \"Bounce Rule\"\n"},
	{"columns in another order", "Last Update Time;REASON;Email-Address\n2026-01-01;bounce;a@x.test\n", Options{}, "2 a@x.test hard_bounce global created 2026-01-01 evidence \"bounce\"\n"},
	{"a given format needs no header", "a@x.test,550,gone,\n", Options{Format: MailgunBounces}, "1 a@x.test hard_bounce global evidence \"550 gone\"\n"},
	{"plain, of a table with more columns", "name,email,address\nAnn,a@x.test,1 High St\n", Options{Format: Plain, Reason: suppression.Role}, "2 a@x.test role global\n"},
	{"an opt-out from one list", "email,created\na@x.test,1760000000\n", Options{Scope: news}, "2 a@x.test unsubscribe list:news.acme.example created 2025-10-09\n"},
	{"an opt-out from everybody is none", "email,created\na@x.test,1760000000\n", Options{Scope: global},
		"! line 2: scope global does not go with reason unsubscribe, which is about one sender: name an audience, tenant, list, category or class\n"},
	{"a short form of our own", "address,reason\na@x.test,manual\nb@x.test,because\n", Options{},
		"2 a@x.test manual tenant:acme\n! line 3: reason \"because\" is unknown: use one of [hard_bounce invalid complaint manual unsubscribe pause soft_bounce role rule]\n"},
	{"an apostrophe elsewhere stays", "email,created,ip\na@x.test,1760000000,'=x\n", Options{}, "2 a@x.test complaint tenant:acme created 2025-10-09 evidence \"'=x\"\n"},
	{"fields too few and too many", "email,created\na@x.test\nb@x.test,1760000000,x\nc@x.test,1760000000,,\n", Options{},
		"! line 2, column 9: the line has 1 fields and the header 2: put fields with a separator in them between quotes, and write empty fields too\n" +
			"! line 3, column 21: the line has 3 fields and the header 2: put fields with a separator in them between quotes, and write empty fields too\n" +
			"4 c@x.test unsubscribe tenant:acme created 2025-10-09\n"},
	{"one stray quote costs one line", "email,created\n\"a@x.test,1760000000\nb@x.test,1760000000\n", Options{},
		"! line 2, column 1: a quote is opened here and not closed within 64 KiB: close it, or double it if it is text\n3 b@x.test unsubscribe tenant:acme created 2025-10-09\n"},
	{"text behind a quote", "email,created\n\"a@x.test\"x,1760000000\nb@x.test,1760000000\n", Options{},
		"! line 2, column 11: text follows a closing quote: write quotes inside of quotes twice (\"\")\n3 b@x.test unsubscribe tenant:acme created 2025-10-09\n"},
	{"NUL", "a@x.test\nb\x00@x.test\nc@x.test\n", manual,
		"1 a@x.test manual tenant:acme\n! line 2, column 2: there is a NUL byte: the line is damaged or no text: write it again\n3 c@x.test manual tenant:acme\n"},
	{"a line of 1 MB", "a@x.test\n" + strings.Repeat("x", 1<<20) + "\r\nc@x.test\n", manual,
		"1 a@x.test manual tenant:acme\n! line 2: the line is longer than 64 KiB: is it a list? Cut the line, or take it out\n3 c@x.test manual tenant:acme\n"},
	{"a record of many lines", "email,created\n\"" + strings.Repeat("x\n", 40000) + "\"", Options{}, "! line 2, column 1: a quote is opened here"},
	{"UTF-16", "\xff\xfea\x00", manual, "! line 1, column 1: the file is UTF-16: save it as UTF-8 (in Excel: \"CSV UTF-8\")\n"},
	{"UTF-16 without mark", "a\x00@\x00x\x00.\x00d\x00e\x00", manual, "! line 1, column 1: the file is UTF-16: save it as UTF-8 (in Excel: \"CSV UTF-8\")\n"},
	{"a spreadsheet", "PK\x03\x04zip", manual, "! the file is a ZIP archive or a spreadsheet: unpack it, or save the sheet as CSV\n"},
	{"bounces or blocks?", "status,reason,email,created\n", Options{},
		"! line 1, column 1: this is the header of SendGrid bounces and of SendGrid blocks alike: say which it is: format sendgrid-bounces or sendgrid-blocks\n"},
	{"customers are no opt-outs", "email,created,city\na@x.test,1760000000,Rome\n", Options{}, `! line 1, column 1: the header "email,created,city" is of no list known here`},
	{"several fields and no header", "1,a@x.test,x,y\n", Options{}, "! line 1, column 1: the first line is no header and has several fields: name the format"},
	{"no reason", "a@x.test\n", Options{}, "! line 1, column 1: a list of format plain does not say why its addresses are in it: give the reason"},
	{"an unknown reason", "a@x.test\n", Options{Reason: "x"}, `! line 1, column 1: the reason "x" is unknown`},
	{"an unknown format", "a@x.test\n", Options{Format: "x"}, `! the format "x" is unknown: use one of tidepost, `},
	{"a word that is not known", "EmailAddress,Reason\na@x.test,LUNCH\n", Options{}, "! line 2, column 10 (Reason): the word \"LUNCH\" is not known from Amazon SES"},
	{"a date nobody can read", "email,created\na@x.test,03/02/2026\n", Options{},
		"! line 2, column 10 (created): the date \"03/02/2026\" cannot be read: write it as 2026-03-02T12:00:00Z, as in RFC 2822, or as seconds since 1970\n"},
	{"a column behind letters of two bytes", "email,created\nü@x.test,?\n", Options{}, "! line 2, column 10 (created)"},
	{"JSON lines with a bad one", "{\"EmailAddress\":\"a@x.test\",\"Reason\":\"BOUNCE\"}\n{\"EmailAddress\":x}\n{\"EmailAddress\":\"c@x.test\",\"Reason\":\"BOUNCE\"}\n", Options{},
		"1 a@x.test hard_bounce global evidence \"BOUNCE\"\n! line 2, column 17: \"x\" is no value: is the file whole, and JSON? Fetch it again\n3 c@x.test hard_bounce global evidence \"BOUNCE\"\n"},
	{"JSON cut off", "[\n{\"EmailAddress\":\"a@x.test\",\"Reason\":\"BOUNCE\"},\n{\"Email", Options{},
		"2 a@x.test hard_bounce global evidence \"BOUNCE\"\n! line 3, column 7: the JSON ends too early: is the file whole, and JSON? Fetch it again\n"},
	{"JSON of addresses", `["a@x.test", "b\u0040x.test"]`, manual, "1 a@x.test manual tenant:acme\n1 b@x.test manual tenant:acme\n"},
	{"JSON of something else", `{"weather":"fine"}`, manual, "! line 1: the header \"weather\" is of no list known here"},
	{"JSON without an address in one row", `{"email":"a@x.test","origin":"bounce"} {"origin":"bounce"}`, Options{}, "1 a@x.test hard_bounce global evidence \"bounce\"\n! line 1 (email): there is no address"},
	{"JSON, deep", strings.Repeat("[{\"data\":", 40), manual, "! line 1, column 145: the JSON is nested too deeply"},
	{"JSON, a subscriber's own email elsewhere", `{"email":"a@x.test","uuid":"1","status":"blocklisted","attribs":{"email":"b@x.test","data":[{"email":"c@x.test"}]}}`, Options{}, "1 a@x.test unsubscribe tenant:acme evidence \"blocklisted\"\n"},
	{"JSON, 1 MB in one value", `{"email":"a@x.test","origin":"` + strings.Repeat("x", 1<<20) + `","reason":"` + strings.Repeat("x", 1<<20) + `","tags":["` + strings.Repeat("x", 1<<20) + `"]}` + "\n" + `{"email":"b@x.test","origin":"bounce"}`, Options{Format: Resend},
		"! line 1: the object is longer than 64 KiB: is it a list? Cut it, or take it out\n2 b@x.test hard_bounce global evidence \"bounce\"\n"},
	{"a display name with a comma first", "\"Smith, Ann\" <ann@x.test>\n\"b@x.test\"\n", manual, "1 ann@x.test manual tenant:acme\n2 b@x.test manual tenant:acme\n"},
	{"a display name of a given plain list", "\"Smith\" <ann@x.test>,\n", Options{Format: Plain, Reason: suppression.Role}, "1 ann@x.test role global\n"},
	{"a quoted field over lines in a plain list", "\"a@x.test\n\"\nb@x.test\n", Options{Format: Plain, Reason: suppression.Role}, "! line 1, column 1: \"\\\"a@x.test\" cannot be read"},
	{"blanks around quotes", "email, created\n \"a@x.test\" , \"1760000000\" \n", Options{}, "2 a@x.test unsubscribe tenant:acme created 2025-10-09\n"},
	{"a long reply of many lines", "address,code,error\na@x.test,550,\"" + strings.Repeat("é\r\n", 700) + "\"\nb@x.test,550,\n", Options{}, "2 a@x.test hard_bounce global evidence \"550 é é"},
	{"sparkpost without a source", "recipient,transactional,non_transactional\na@x.test,true,false\nb@x.test,false,true\n", Options{}, "2 a@x.test manual tenant:acme\n3 b@x.test unsubscribe tenant:acme\n"},
	{"sparkpost, a reader's own", "recipient,type,source\na@x.test,non_transactional,List Unsubscribe\nb@x.test,transactional,Compliance\n", Options{},
		"2 a@x.test unsubscribe tenant:acme evidence \"List Unsubscribe\"\n3 b@x.test manual tenant:acme evidence \"Compliance\"\n"},
	{"our own, wrong in each column", "address,reason,scope,created,expires,removed\nann,manual,,,,\na@x.test,manual,planet,,,\na@x.test,manual,,x,,\na@x.test,manual,,,x,\na@x.test,manual,,,,x\n", Options{},
		"! line 2, column 1 (address): \"ann\" cannot be read: the address has no domain: write name@domain: correct it, or take the line out\n" +
			"! line 3, column 17 (scope): scope \"planet\" is unknown: use global, or audience, tenant, list, category or class with a name, like tenant:acme\n" +
			"! line 4, column 18 (created): the date \"x\" cannot be read: write it as 2026-03-02T12:00:00Z, as in RFC 2822, or as seconds since 1970\n" +
			"! line 5, column 19 (expires): the date \"x\" cannot be read: write it as 2026-03-02T12:00:00Z, as in RFC 2822, or as seconds since 1970, or leave it empty for never\n" +
			"! line 6, column 20 (removed): the date \"x\" cannot be read: write it as 2026-03-02T12:00:00Z, as in RFC 2822, or as seconds since 1970\n"},
	{"JSON, escapes of all kinds", `[{"address":"a@x.test","reason":"manual","note":"\"\\\/\b\f\n\t\u00e9\ud83d\ude00\ud83dx\ud83d\u0041","source":null,"evidence":true,"x":{"y":[1,{"z":"}"}]},"w":{},"v":[]}]`, Options{},
		"1 a@x.test manual tenant:acme evidence \"true\" note \"\\\"\\\\/\\b\\f\\n\\té😀\ufffdx\ufffdA\"\n"},
	{"JSON that is none", "[1]", manual, "! line 1, column 2: an object or a string should be here"},
	{"JSON, a comma too many", `[{"email":"a@x.test",}]`, manual, "! line 1, column 22: the name of a field should be here"},
	{"JSON, no colon", `[{"email" "a@x.test"}]`, manual, "! line 1, column 11: a colon should be here"},
	{"JSON, no comma", `[{"email":"a@x.test" "b"}]`, manual, "! line 1, column 22: a comma or a closing brace should be here"},
	{"JSON, no comma between rows", `["a@x.test" "b@x.test"]`, manual, "1 a@x.test manual tenant:acme\n! line 1, column 13: a comma or a closing bracket should be here"},
	{"JSON, a bad escape", `["\x"]`, manual, "! line 1, column 4: a backslash is followed by nothing it goes with"},
	{"JSON, a bad \\u", `["\u12x4"]`, manual, "! line 1, column 7: \\u is followed by four hex digits"},
	{"JSON, a string over lines", "[\"a\n\"]", manual, "! line 2, column 1: a string is not closed"},
	{"JSON, something behind it", `[] 1`, manual, "! line 1, column 4: an object or an array should start here"},
	{"JSON of hashes", `["71d4f55f71d4f55f71d4f55f71d4f55f"]`, manual, "1 md5 71d4f55f manual tenant:acme\n"},
}

func TestStories(t *testing.T) {
	for _, tt := range stories {
		got := story(strings.NewReader(tt.file), acme(tt.opt))
		if got != tt.want && !(tt.want != "" && !strings.HasSuffix(tt.want, "\n") && strings.HasPrefix(got, tt.want)) {
			t.Errorf("%s: got\n%swant\n%s", tt.story, got, tt.want)
		}
	}
}

func TestNoTenant(t *testing.T) {
	got := story(strings.NewReader("EmailAddress,Reason\na@x.test,BOUNCE\nb@x.test,COMPLAINT\nc@x.test,BOUNCE\n"), Options{Now: noon})
	want := "2 a@x.test hard_bounce global evidence \"BOUNCE\"\n! line 3: reason complaint is about one sender, and none is named: name the tenant, or a scope\n"
	if got != want {
		t.Errorf("got %s", got)
	}
}

// Lines made so that each must be looked at for 64 KiB end in time.
func TestManyUnclosedQuotes(t *testing.T) {
	file := "email,created\n" + strings.Repeat("a\",\"x\n", 1<<18)
	rep := DryRun(strings.NewReader(file), acme(Options{}))
	if rep.Bad == 0 || rep.Bad > 1000 || rep.Stopped == nil || !strings.Contains(rep.String(), "quotes are opened and not closed again and again") {
		t.Errorf("got %s", rep)
	}
}

// A stream that breaks ends in one error, and the torn line is not a row.
func TestBrokenStream(t *testing.T) {
	broken := errors.New("the line is cut")
	for _, file := range []string{"a@x.test\nann@example.co", "email,created\na@x.test,1760000000\nb@x.test,17", "[\"a@x.test\",\n\"b@x", "email,created\na@x.test,1760000000\n\"b@x.test\",17"} {
		n := 0
		var last error
		for row, err := range Read(io.MultiReader(strings.NewReader(file), iotest.ErrReader(broken)), acme(Options{Reason: suppression.Manual})) {
			if last = err; err == nil {
				n++
				if row.Entry.Address != "a@x.test" {
					t.Errorf("%q: torn row %v", file, row)
				}
			}
		}
		var e *Error
		if n != 1 || !errors.Is(last, broken) || !errors.As(last, &e) || !e.Fatal || !strings.Contains(last.Error(), "cannot be read on: the line is cut") {
			t.Errorf("%q: %d rows, then %v", file, n, last)
		}
	}
}

// A consumer that has enough gets nothing more.
func TestStop(t *testing.T) {
	for _, file := range []string{"a@x.test\nb@x.test\n", "email\na@x.test\n", "email,created\na@x.test,1\nb@x.test,1\n", `["a@x.test","b@x.test"]`, "bad\n"} {
		for range Read(strings.NewReader(file), acme(Options{Reason: suppression.Manual})) {
			break
		}
	}
}

func TestDryRun(t *testing.T) {
	for _, file := range []string{"bad.csv", "cloudflare.csv", "hashed.txt", "listmonk.csv", "plain.txt", "sendgrid-blocks.csv"} {
		f, err := os.Open(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		golden(t, file+".dry", DryRun(f, acme(Options{Reason: suppression.Manual})).String())
		f.Close()
	}
}
