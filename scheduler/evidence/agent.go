package evidence

import "strings"

// agent is what kind of program a user agent names.
type agent uint8

const (
	agentOther   agent = iota // a reader's program, or not known
	agentEmpty                // none, though the client's request was seen
	agentPlain                // "Mozilla/5.0" and nothing else: Apple's mail privacy
	agentLibrary              // a program, a crawler, a link preview
	agentGateway              // a mail-security product
	agentGoogle               // Google's image proxy
	agentProxy                // another mail provider's image proxy, fetching when people read
)

// longest is how much of a user agent is read, so that a huge one costs no more.
const longest = 512

// firsts are the programs that are told by the first word of their user agent.
// They are the names that HTTP libraries and tools send by default, according to
// their own sources. Left out because they are also seen from people who read mail:
// okhttp, Dalvik and CFNetwork (mail apps on phones), "Microsoft Office" and
// "ms-office" (Outlook), Thunderbird.
var firsts = set(agentLibrary,
	"curl", "libcurl", "wget", "wget2", "httpie", "xh",
	"python-requests", "python-urllib", "python-httpx", "python", "aiohttp", "urllib3", "scrapy",
	"go-http-client", "fasthttp", "go-resty", "resty", "colly",
	"java", "java-http-client", "apache-httpclient", "apache-httpasyncclient", "jakarta", "jetty", "ahc", "reactornetty",
	"libwww-perl", "lwp", "lwp-trivial", "perl", "mojolicious",
	"guzzlehttp", "php", "symfony", "ruby", "faraday", "rest-client", "http_client", "typhoeus",
	"node", "node-fetch", "axios", "got", "undici", "superagent", "deno", "bun",
	"reqwest", "hyper", "ureq", "lua-resty-http", "dart", "winhttp", "postmanruntime", "insomnia",
	"powershell", "windowspowershell", "nutch", "zgrab", "masscan", "lychee", "linkchecker", "w3c-checklink",
)

// anywhere are the programs that are told by a word anywhere in their user agent: automated
// browsers, crawlers and link previews under the names that their operators
// publish, and mail-security products under the names with which they are seen in click
// logs. Whole words only: a phone called Cubot is no robot. Left out are makers of
// security software who also make browsers for people (Avast, AVG, F-Secure,
// Kaspersky, McAfee, Norton).
var anywhere = merge(
	set(agentLibrary,
		"headlesschrome", "phantomjs", "slimerjs", "puppeteer", "playwright", "selenium", "electron-fetch",
		"googlebot", "googlebot-image", "google-safety", "adsbot-google", "google-inspectiontool", "bingbot", "bingpreview", "applebot",
		"yandexbot", "baiduspider", "duckduckbot", "ahrefsbot", "semrushbot", "mj12bot", "dotbot", "petalbot", "bytespider",
		"gptbot", "claudebot", "ccbot", "amazonbot",
		"slackbot", "slackbot-linkexpanding", "slack-imgproxy", "facebookexternalhit", "facebookexternalua", "twitterbot", "linkedinbot",
		"telegrambot", "discordbot", "skypeuripreview", "pinterestbot", "bitlybot", "urlscan", "virustotal",
	),
	set(agentGateway,
		"barracuda", "barracudacentral", "barracudasentinel", "proofpoint", "urldefense", "mimecast",
		"ironport", "ciscosecureemail", "forcepoint", "websense", "messagelabs", "symantec", "fireeye", "trellix",
		"sophos", "fortimail", "fortiguard", "fortisandbox", "trendmicro", "tmes", "safelinks",
		"hornetsecurity", "retarus", "vadesecure", "avanan", "spamtitan", "mailguard", "mailmarshal", "trustwave", "cloudmark",
		"knowbe4", "cofense", "zerofox",
	),
	set(agentGoogle, "googleimageproxy"),
	set(agentProxy, "yahoomailproxy"),
)

// agentOf is the program that sent the request.
func agentOf(r *Request) agent {
	ua := strings.TrimSpace(r.UserAgent[:min(len(r.UserAgent), longest)])
	switch {
	case ua == "" && (r.Known || r.UserAgent != ""):
		return agentEmpty
	case ua == "Mozilla/5.0":
		return agentPlain
	}
	return namedIn(ua)
}

// namedIn looks the words of a user agent up. It goes by words and not by
// substrings because "go", "java" and "bot" are part of many innocent names.
func namedIn(ua string) agent {
	var word [24]byte // longer than any name above
	n, first := 0, true
	for i := 0; i <= len(ua); i++ {
		if i < len(ua) {
			if b, ok := lower(ua[i]); ok {
				if n < len(word) {
					word[n] = b
				}
				n++
				continue
			}
		}
		if n > 1 && n <= len(word) && word[0] > '9' { // versions are most of the words
			if a, ok := anywhere[string(word[:n])]; ok {
				return a
			}
			if first && firsts[string(word[:n])] != agentOther {
				return agentLibrary
			}
		}
		first, n = first && n == 0, 0
	}
	return agentOther
}

// lower is the letter in lower case, and whether it belongs to a word.
func lower(b byte) (byte, bool) {
	switch {
	case 'a' <= b && b <= 'z', '0' <= b && b <= '9', b == '-', b == '_':
		return b, true
	case 'A' <= b && b <= 'Z':
		return b + 'a' - 'A', true
	}
	return b, false
}

func set(a agent, names ...string) map[string]agent {
	m := make(map[string]agent, len(names))
	for _, name := range names {
		m[name] = a
	}
	return m
}

func merge(sets ...map[string]agent) map[string]agent {
	all := make(map[string]agent)
	for _, s := range sets {
		for name, a := range s {
			all[name] = a
		}
	}
	return all
}
