package content

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"tidepost/gateway"
)

// campaign is a newsletter of 32 KB in two parts, with 32 links in 27 KB of HTML
// as mailers lay it out.
func campaign(encoding string) string {
	var page strings.Builder
	page.WriteString("<!DOCTYPE html>\r\n<html><head><title>News</title><style>td{color:#333}</style></head><body>\r\n<table width=\"600\">\r\n")
	for i := range 32 {
		page.WriteString("<tr><td style=\"font-family:Arial,sans-serif;font-size:14px;line-height:20px;padding:0 10px\" align=\"left\">\r\n")
		page.WriteString(strings.Repeat("<p style=\"margin:0\">A line of text in a newsletter &amp; <b>more of it</b>.</p>\r\n", 7))
		fmt.Fprintf(&page, "<a href=\"https://shop.example.com/product/%d?utm_source=newsletter&amp;utm_campaign=autumn\" style=\"color:#06c\">Read more</a></td></tr>\r\n", i)
	}
	page.WriteString("</table></body></html>\r\n")
	text := strings.Repeat("A line of text in a newsletter and more of it.\r\n", 96)
	body := page.String()
	switch encoding {
	case "quoted-printable":
		body = quoted(body)
	case "base64":
		body = based(body)
	}
	return strings.TrimSuffix(headed("To: b@example.org", "Subject: News"), "\r\n") + mixed("alternative", "b1_5b0cbbb4", "Content-Type: text/plain\r\n\r\n"+text,
		"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: "+encoding+"\r\n\r\n"+body)
}

// BenchmarkMarked is Compose of a newsletter with all marks, not signed. The
// plain case is the same mail without marks.
func BenchmarkMarked(b *testing.B) {
	for _, encoding := range []string{"8bit", "quoted-printable", "base64"} {
		b.Run(encoding, func(b *testing.B) { benchmarkMarked(b, campaign(encoding), allMarks) })
	}
	b.Run("plain", func(b *testing.B) { benchmarkMarked(b, campaign("8bit"), gateway.Marks{}) })
}

func benchmarkMarked(b *testing.B, content string, marks gateway.Marks) {
	s, c := stored(b, content), marking(b, nil)
	if left := mark(b, c, s, marks); marks.Links && strings.Contains(content, "8bit") && strings.Count(reveal(b, left), "/32 https://shop") != 32 {
		b.Fatalf("not all links are rewritten:\n%s", left)
	}
	buf := make([]byte, 32<<10)
	b.SetBytes(s.Size)
	b.ReportAllocs()
	for b.Loop() {
		body, _, err := c.Compose(context.Background(), s, sentTo, marks)
		if err != nil {
			b.Fatal(err)
		}
		for err == nil {
			_, err = body.Read(buf)
		}
		if err != io.EOF {
			b.Fatal(err)
		}
		body.Close()
	}
}

// BenchmarkTokens is the yardstick: the same page through the tokenizer, copied.
func BenchmarkTokens(b *testing.B) {
	_, page, _ := bytes.Cut([]byte(campaign("8bit")), []byte("8bit\r\n\r\n"))
	b.SetBytes(int64(len(page)))
	var out []byte
	for b.Loop() {
		out = out[:0]
		z := html.NewTokenizer(bytes.NewReader(page))
		for z.Next() != html.ErrorToken {
			out = append(out, z.Raw()...)
		}
	}
}
