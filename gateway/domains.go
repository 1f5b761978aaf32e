package gateway

import (
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// domains counts what became of mail by domain, day by day: for rules, and to tell
// an outage, when a provider says of everybody that they do not exist, from
// addresses that are gone. It is kept in memory: a restart begins anew.
type domains struct {
	mu sync.Mutex
	of *lru.Cache[string, *domainDays] // its values are guarded by mu
}

// domainDays are the last 32 days of a domain.
type domainDays [32]struct {
	day            int64
	sends, bounces uint32
}

const domainsSize = 10_000

// count notes a mail that was taken or, for good, not.
func (d *domains) count(domain string, bounced bool, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	days, ok := d.of.Get(domain)
	if !ok {
		days = new(domainDays)
		d.of.Add(domain, days)
	}
	day := now.Unix() / 86400
	slot := &days[day%int64(len(days))]
	if slot.day != day {
		slot.day, slot.sends, slot.bounces = day, 0, 0
	}
	slot.sends++
	if bounced {
		slot.bounces++
	}
}

// within sums the days from one to another, counted back from today.
func (d *domains) within(domain string, from, to int64, now time.Time) (sends, bounces uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	days, ok := d.of.Get(domain)
	if !ok {
		return 0, 0
	}
	today := now.Unix() / 86400
	for i := range days {
		if ago := today - days[i].day; ago >= from && ago <= to {
			sends += days[i].sends
			bounces += days[i].bounces
		}
	}
	return sends, bounces
}

// week sums the last seven days.
func (d *domains) week(domain string, now time.Time) (sends, bounces uint32) {
	return d.within(domain, 0, 6, now)
}

// outage reports whether a domain says "no such mailbox" so much more often today
// than it usually does that it is its own trouble: five times, and never of a few.
func (d *domains) outage(domain string, now time.Time) bool {
	const many, times, least = 20, 5, 0.02
	sends, bounces := d.within(domain, 0, 0, now)
	if bounces < many {
		return false
	}
	before, gone := d.within(domain, 1, 30, now)
	usual := least
	if before > many {
		usual = max(least, float64(gone)/float64(before))
	}
	return float64(bounces)/float64(sends) > min(times*usual, 0.9)
}

// providers are the domains of the large mailbox providers; mail of a company's own
// domain that lies with one of them is not known by it.
var providers = map[string]string{
	"gmail.com": "gmail", "googlemail.com": "gmail",
	"outlook.com": "microsoft", "hotmail.com": "microsoft", "live.com": "microsoft", "msn.com": "microsoft",
	"yahoo.com": "yahoo", "ymail.com": "yahoo", "aol.com": "yahoo", "rocketmail.com": "yahoo",
	"icloud.com": "apple", "me.com": "apple", "mac.com": "apple",
	"gmx.de": "gmx", "gmx.net": "gmx", "gmx.at": "gmx", "gmx.ch": "gmx", "web.de": "gmx", "mail.com": "gmx",
	"t-online.de": "telekom", "magenta.de": "telekom", "freenet.de": "freenet", "orange.fr": "orange", "wanadoo.fr": "orange",
	"free.fr": "free", "laposte.net": "laposte", "libero.it": "libero", "mail.ru": "vk", "yandex.ru": "yandex", "qq.com": "tencent",
	"163.com": "netease", "126.com": "netease", "proton.me": "proton", "protonmail.com": "proton",
	"comcast.net": "comcast", "att.net": "yahoo", "sbcglobal.net": "yahoo", "verizon.net": "yahoo",
}

// provider names who runs a domain's mailboxes; the domain itself where that is not
// known.
func provider(domain string) string {
	if p, ok := providers[domain]; ok {
		return p
	}
	for _, prefix := range []struct{ start, name string }{{"hotmail.", "microsoft"}, {"outlook.", "microsoft"}, {"live.", "microsoft"}, {"yahoo.", "yahoo"}} {
		if strings.HasPrefix(domain, prefix.start) {
			return prefix.name
		}
	}
	return domain
}
