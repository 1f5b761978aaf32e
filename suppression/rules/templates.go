package rules

import (
	"fmt"
	"slices"
	"strings"
)

// Template is a rule file to start from.
type Template struct {
	Name        string // what New takes
	Description string // one line
	write       func(Options) string
}

// Options are the numbers of a template. Zero is its default.
type Options struct {
	Days    int // sunset: without a click, 7 to 3650; default 180
	PerWeek int // weekly-cap: mails a week for the keenest readers, 1 to 32; default 5
}

// Templates lists what New can write, in order of name.
func Templates() []Template {
	return []Template{
		{"bounced-domain", "wait with a domain whose mailboxes have just begun to bounce", func(Options) string { return bouncedDomain }},
		{"role-addresses", "no bulk mail to postmaster, abuse and the like", func(Options) string { return roleAddresses }},
		{"sunset", "less, and in the end no, mail for readers who no longer click", sunset},
		{"weekly-cap", "fewer mails a week the longer ago the last click", weeklyCap},
	}
}

// New writes a template as the text of a rules file. The rules start in shadow:
// they report what they would do until their state is taken out.
func New(name string, o Options) (string, error) {
	if o.Days == 0 {
		o.Days = 180
	}
	if o.PerWeek == 0 {
		o.PerWeek = 5
	}
	if o.Days < 7 || o.Days > 3650 {
		return "", fmt.Errorf("%d days: use 7 to 3650", o.Days)
	}
	if o.PerWeek < 1 || o.PerWeek > maxCap {
		return "", fmt.Errorf("%d a week: use 1 to %d", o.PerWeek, maxCap)
	}
	var names []string
	for _, t := range Templates() {
		if t.Name == name {
			return t.write(o), nil
		}
		names = append(names, t.Name)
	}
	return "", fmt.Errorf("no template '%s'%s: there are %s", name, suggest(name, names), strings.Join(slices.Sorted(slices.Values(names)), ", "))
}

func sunset(o Options) string {
	return fmt.Sprintf(`# Sunset: a reader who has not clicked for %[1]d days gets no more bulk mail, and
# less and less on the way there.
#
# Only a reader whose clicks could have been seen for so long can be said not to
# have clicked: for all others these rules stay undecided and do nothing.
# "tidepost rules backtest" says how many that is.
#
# All three start in shadow: they report and change nothing. Take out the state
# line of a rule, or write "enabled", to let it act. Rules are read from the top,
# so the last step stands first.

[[rule]]
name        = "sunset"
description = "no click for %[1]d days"
state       = "shadow"
class       = ["newsletter", "promotional"]
# Somebody who got next to no mail had nothing to click: ask for a few sends.
when        = "mailbox.last_click > days(%[1]d) && mailbox.sends_90d >= 3"
then        = "drop('sunset')"

[[rule]]
name        = "sunset-monthly"
description = "no click for %[2]d days: one mail in 30 days"
state       = "shadow"
class       = ["newsletter", "promotional"]
when        = "mailbox.last_click > days(%[2]d)"
then        = "cap(1, days(30))"

[[rule]]
name        = "sunset-weekly"
description = "no click for %[3]d days: one mail a week"
state       = "shadow"
class       = ["newsletter", "promotional"]
when        = "mailbox.last_click > days(%[3]d)"
then        = "cap(1, days(7))"
`, o.Days, o.Days*3/4, o.Days/2)
}

func weeklyCap(o Options) string {
	return fmt.Sprintf(`# Weekly cap by tier: keen readers bear more mail than those who drift away. Of
# several caps on one window the lowest holds, so each rule only says what is less.
#
# Where clicks cannot be seen only the first rule acts. All start in shadow: they
# report and change nothing until their state line is taken out.

[[rule]]
name        = "weekly-cap"
description = "%[1]d a week for everybody"
state       = "shadow"
class       = ["newsletter", "promotional"]
then        = "cap(%[1]d, days(7))"

[[rule]]
name        = "weekly-cap-15"
description = "last click over 15 days ago"
state       = "shadow"
class       = ["newsletter", "promotional"]
when        = "mailbox.last_click > days(15)"
then        = "cap(%[2]d, days(7))"

[[rule]]
name        = "weekly-cap-45"
description = "last click over 45 days ago"
state       = "shadow"
class       = ["newsletter", "promotional"]
when        = "mailbox.last_click > days(45)"
then        = "cap(%[3]d, days(7))"

[[rule]]
name        = "weekly-cap-90"
description = "last click over 90 days ago"
state       = "shadow"
class       = ["newsletter", "promotional"]
when        = "mailbox.last_click > days(90)"
then        = "cap(1, days(7))"
`, o.PerWeek, max(1, o.PerWeek*3/5), max(1, o.PerWeek*2/5))
}

const roleAddresses = `# Role addresses: mailboxes that belong to a task (RFC 2142) and are read by
# whoever has it. Nobody there asked for a newsletter, and they complain.
#
# It starts in shadow: it reports and changes nothing until its state line is
# taken out.

[[rule]]
name        = "role-addresses"
description = "mailboxes of a task, not of a person"
state       = "shadow"
class       = ["newsletter", "promotional"]
when        = """
mailbox.local in [
  'abuse', 'admin', 'administrator', 'hostmaster', 'mailer-daemon', 'noc',
  'no-reply', 'noreply', 'postmaster', 'root', 'security', 'spam', 'webmaster',
]"""
then        = "drop('role')"

# A role address that clicks is a reader after all. To spare those, put this above:
#
# [[rule]]
# name  = "role-readers"
# class = ["newsletter", "promotional"]
# when  = "mailbox.last_click < days(90)"
# then  = "allow"
`

const bouncedDomain = `# Newly bounced domain: when several mailboxes of one domain bounce for good within
# a week, the domain may have been given up, or its servers have a bad day and say
# "unknown user" to everybody. Either way the rest of its mail can wait a day.
#
# It starts in shadow: it reports and changes nothing until its state line is
# taken out.

[[rule]]
name        = "bounced-domain"
description = "3 hard bounces and a fifth of the domain's mail in 7 days"
state       = "shadow"
class       = ["newsletter", "promotional"]
when        = """
mailbox.domain_bounces_7d >= 3
  && mailbox.domain_bounces_7d >= 0.2 * mailbox.domain_sends_7d"""
# One day from when the message was accepted.
then        = "hold(days(1))"
`
