package rules_test

import (
	"fmt"
	"time"

	"tidepost/suppression/rules"
)

func Example() {
	list, err := rules.Parse("sunset.toml", []byte(`
[[rule]]
name = "sunset"
when = "mailbox.last_click > days(180) && mailbox.sends_90d >= 3"
then = "drop('sunset')"
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	set, err := rules.Compile(list)
	if err != nil {
		fmt.Println(err)
		return
	}
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	facts := rules.Facts{Now: now, Message: rules.Message{Class: "newsletter"}}
	facts.Mailbox.Sends.D90 = 12
	facts.Mailbox.ClicksVisible = 400 * 24 * time.Hour
	v := set.Evaluate(&facts)
	fmt.Println(v.Kind, v.Reason)
	for _, value := range v.Fired[0].Values {
		fmt.Println(value.Name, "is", value.Text)
	}
	facts.Mailbox.ClicksVisible = 30 * 24 * time.Hour
	v = set.Evaluate(&facts)
	fmt.Println(v.Kind, "undecided for want of", v.Undecided[0].Missing)
	// Output:
	// drop sunset
	// mailbox.last_click is none seen in 400d
	// mailbox.sends_90d is 12
	// none undecided for want of mailbox.last_click
}

func ExampleCompile() {
	list, _ := rules.Parse("rules/caps.toml", []byte(`
[[rule]]
name = "vip"
when = "mailbox.atributes.tier == 'gold' && mailbox.clicks_30d > 2"
then = "cap(40, days(7))"
`))
	_, err := rules.Compile(list)
	fmt.Println(err)
	// Output:
	// rules/caps.toml:4:16: rule vip: when: undefined field 'atributes' (did you mean 'attributes'?)
	// rules/caps.toml:5:12: rule vip: then: cap(40, …): use 1 to 32, more sends of a mailbox are not remembered; for none write drop or hold
}
