package intake

import (
	"bytes"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"
)

// reference is DATA as RFC 5321 §4.5.2 has it, written for the eye: where the end
// is, what the content is, and whether it may stay.
func reference(in string, maxLine int, normalize bool) (content, rest string, found, good bool) {
	raw, rest, found := strings.Cut("\r\n"+in, "\r\n.\r\n")
	if !found {
		return "", "", false, false
	}
	raw = (raw + "\r\n")[2:]
	content = strings.ReplaceAll("\r\n"+raw, "\r\n.", "\r\n")[2:]
	return judged(content, maxLine, normalize, rest)
}

func judged(content string, maxLine int, normalize bool, rest string) (string, string, bool, bool) {
	good := true
	for line := range strings.Lines(content) {
		n := len(strings.TrimSuffix(line, "\n"))
		if strings.HasSuffix(line, "\r\n") {
			n--
		}
		good = good && n <= maxLine
	}
	bare := strings.ContainsAny(strings.ReplaceAll(content, "\r\n", ""), "\r\n\x00")
	if bare && !normalize {
		good = false
	}
	if normalize {
		content = strings.ReplaceAll(content, "\r\n", "\xff\xfe\xfd")
		content = strings.NewReplacer("\n", "\r\n", "\r", " ", "\x00", " ").Replace(content)
		content = strings.ReplaceAll(content, "\xff\xfe\xfd", "\r\n")
	}
	return content, rest, true, good
}

// pieces cuts s where cuts says.
func pieces(s string, cuts []byte) []string {
	var all []string
	for i := 0; len(s) > 0; i++ {
		n := len(s)
		if i < len(cuts) {
			n = min(n, int(cuts[i])+1)
		}
		all = append(all, s[:n])
		s = s[n:]
	}
	return all
}

var contentSeeds = []string{
	"", ".", "..", "a\r\n", ".a\r\n..\r\n", "a\r", "a\n", "\x00", "a\r\r\n", "\r\n\r\n", "A: b\r\n\r\nc\r\n.d\r\n", ".\r", ".\n", "\r\n.\r", "x\r\n.\r\nNOOP\r\n",
	"\n.\n", "\r.\r\n", "\r\n.\x00", strings.Repeat("x", 2001), strings.Repeat("x", 5000) + "\n", "\xff\xfe\xfdü",
}

// FuzzDataReader compares the content of DATA with the reference, for any cuts.
func FuzzDataReader(f *testing.F) {
	for _, s := range contentSeeds {
		f.Add(s, []byte{0, 1, 2, 0, 0, 5}, true)
		f.Add(s, []byte{}, false)
	}
	f.Fuzz(func(t *testing.T, text string, cuts []byte, normalize bool) {
		if strings.Contains(text, "\xff\xfe\xfd") {
			t.Skip() // the reference's own mark
		}
		in := text + "\r\n.\r\n"
		want, rest, _, good := reference(in, 2000, normalize)
		c := &scriptConn{done: make(chan struct{})}
		for _, p := range pieces(in, cuts) {
			c.pieces = append(c.pieces, []byte(p))
		}
		w := &wire{nc: c, buf: make([]byte, 16)}
		d := &dataReader{in: w, scan: scanner{normalize: normalize, maxLine: 2000, maxBytes: -1}}
		d.reset()
		w.beginContent(time.Minute, 0)
		var got bytes.Buffer
		var err error
		if len(cuts)%2 == 0 {
			_, err = d.WriteTo(&got)
		} else {
			_, err = io.CopyBuffer(&got, struct{ io.Reader }{d}, make([]byte, 1+len(cuts)))
		}
		if !good {
			if err == nil || d.scan.bad == nil {
				t.Fatalf("%q is accepted as %q", in, got.String())
			}
			if !d.drain(1 << 20) {
				t.Fatalf("the end of %q is not found", in)
			}
		} else if err != nil || got.String() != want {
			t.Fatalf("%q is %q and %v, want %q", in, got.String(), err, want)
		}
		left := string(w.buffered())
		for _, p := range c.pieces {
			left += string(p)
		}
		if left != rest {
			t.Fatalf("after %q comes %q, want %q", in, left, rest)
		}
	})
}

// FuzzBDAT compares the content of chunks with the reference, and with go-smtp's
// wire where both are content.
func FuzzBDAT(f *testing.F) {
	for _, s := range contentSeeds {
		f.Add(s, []byte{0, 1, 2, 0, 0, 5}, true)
		f.Add(s, []byte{}, false)
	}
	strict, lenient, them := ours(f, BareReject), ours(f, BareNormalize), theirs(f)
	f.Fuzz(func(t *testing.T, text string, cuts []byte, normalize bool) {
		if strings.Contains(text, "\xff\xfe\xfd") || len(text) > 1<<16 {
			t.Skip()
		}
		script := []string{"EHLO x.test\r\n", envelope}
		for _, p := range pieces(text, cuts) {
			script = append(script, "BDAT "+strconv.Itoa(len(p))+"\r\n"+p)
		}
		script = append(script, "BDAT 0 LAST\r\n", "NOOP\r\n")
		us := strict
		if normalize {
			us = lenient
		}
		replies, got := us.play(script...)
		checkReplies(t, replies)
		if !strings.HasSuffix(replies, "250 2.0.0 Ok\r\n") {
			t.Fatalf("out of step: %s", replies)
		}
		want, _, _, good := judged(text, 2000, normalize, "")
		if want != "" && !strings.HasSuffix(want, "\r\n") {
			want += "\r\n"
		}
		switch {
		case !good && len(got) > 0:
			t.Fatalf("%q is accepted as %q", text, got[0].Body)
		case good && (len(got) != 1 || got[0].Body != want):
			t.Fatalf("%q is %s, want %q: %s", text, essence(got), want, replies)
		}
		compare(t, strict, them, script)
	})
}

// compare plays a script to both wires and compares what they accepted, where
// both say that all is well. Where only one does, it is for a known reason
// (attacks.md S1–S16).
func compare(t *testing.T, us, them *wireUnderTest, script []string) {
	t.Helper()
	said, mine := us.play(script...)
	checkReplies(t, said)
	for _, a := range mine {
		checkLines(t, a.Body)
	}
	if !happy(said) {
		return
	}
	saidThere, yours := them.play(script...)
	if !happy(saidThere) {
		return
	}
	if a, b := essence(mine), essence(yours); a != b {
		t.Fatalf("%q\nwe accepted\n%sgo-smtp accepted\n%swe said\n%s", script, a, b, said)
	}
}

// FuzzSession plays whole sessions to both wires.
func FuzzSession(f *testing.F) {
	for _, s := range append(framing, abuse...) {
		var all strings.Builder
		for _, st := range s.steps {
			all.WriteString(st.send)
		}
		if all.Len() < 4000 {
			f.Add([]byte("EHLO x.test\r\n" + all.String()))
		}
	}
	f.Add([]byte("EHLO x\r\nMAIL FROM:<a@b.test> BODY=8BITMIME RET=FULL ENVID=x+2By SIZE=5\r\nRCPT TO:<b@c.test> NOTIFY=DELAY ORCPT=rfc822;x+2By\r\nDATA\r\n.a\r\n.\r\nQUIT\r\n"))
	us, them := ours(f, BareReject), theirs(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 1<<16 {
			t.Skip()
		}
		// A piece for each line, so that nobody is taken to talk out of turn.
		compare(t, us, them, strings.SplitAfter(string(in), "\r\n"))
	})
}

// FuzzCommandLine throws lines at a session, some of them in one piece.
func FuzzCommandLine(f *testing.F) {
	for _, s := range []string{"EHLO x", "MAIL FROM:<a@b.test> SIZE=10", "RCPT TO:<\"a b\"@c.test> NOTIFY=NEVER ORCPT=utf-8;\\x{FC}", "AUTH PLAIN =", "BDAT 5 LAST\r\nabcde", "STARTTLS", "\x00\r", "NOOP\nNOOP", "HELO", "MAIL FROM:<> HOLDFOR=1 BY=2;RT MT-PRIORITY=-3"} {
		f.Add(s, s)
	}
	us := ours(f, BareReject)
	f.Fuzz(func(t *testing.T, one, two string) {
		replies, got := us.play("EHLO x.test\r\n", one+"\r\n", mail, two+"\r\n", "RCPT TO:<b@x.test>\r\n"+two+"\r\n")
		checkReplies(t, replies)
		for _, a := range got {
			checkLines(t, a.Body)
			for _, r := range a.Recipients {
				if strings.ContainsFunc(r.Address+r.Original+a.From+a.EnvID, func(r rune) bool { return r < ' ' || r == 0x7f }) {
					t.Errorf("accepted %+v", a.Message)
				}
			}
		}
	})
}
