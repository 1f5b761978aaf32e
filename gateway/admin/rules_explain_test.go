package admin

import (
	"testing"
	"time"

	"tidepost/gateway"
)

// told is an explanation's part about rules.
type told struct {
	Sentences []string
	Rules     []rulingDoc
}

func (w *world) explained(subject string) (x told) {
	w.t.Helper()
	w.document(Viewer, "/api/v1/explain/"+subject, &x)
	return x
}

// Mail that rules hold, drop, would touch and cannot decide about says so.
func TestExplainRules(t *testing.T) {
	w := newRuleWorld(t)
	w.putRules("*", ruleText("weekend", "enabled", "message.campaign == 'spring'", "hold(hours(6))")+
		ruleText("early", "shadow", "message.size >= 0", "tag('small')")+ruleText("sunset", "enabled", "mailbox.last_click > days(180)", "drop('sunset')"), 200)
	held := w.submit(mail{campaign: "spring", to: []string{"ada@x.test"}})[0]
	if held.State != gateway.Waiting || held.Reason != "rule" || time.Until(held.Due) < 5*time.Hour {
		t.Fatalf("it is not held by a rule: %+v", held)
	}
	x := w.explained(held.ID.String())
	said(t, x.Sentences, "A rule of yours says so.", "Rule weekend (version 1) holds it until", "hold(duration('6h0m0s')), as message.campaign was \"spring\".")
	if len(x.Rules) != 1 || x.Rules[0].Fired[0].Rule != "weekend" || x.Rules[0].Fired[0].Values["message.campaign"] != `"spring"` {
		t.Errorf("rules: %+v", x.Rules)
	}
	said(t, w.explained("ada@x.test").Sentences, held.ID.String()+": Rule weekend (version 1) holds it")

	other := w.submit(mail{campaign: "autumn", notBefore: tomorrow(), to: []string{"ada@x.test"}})[0]
	said(t, w.explained(other.ID.String()).Sentences, "Rule early (version 1) is in shadow and would have fired: tag('small')",
		"Rule sunset could not be decided and does nothing: mailbox.last_click is not known, because clicks of this mailbox could not be seen for so long.")
	if x := w.explained(w.submit(mail{notBefore: tomorrow(), to: []string{"ada@x.test"}})[0].ID.String()); len(x.Rules) != 0 {
		t.Errorf("rules have a say in transactional mail: %+v", x.Rules)
	}

	w.putRules("*", ruleText("weekend", "enabled", "message.campaign == 'spring'", "drop('enough')"), 200)
	gone := w.submit(mail{campaign: "spring", to: []string{"bob@x.test"}})[0]
	if gone.State != gateway.Dropped {
		t.Fatalf("it is not dropped: %+v", gone)
	}
	x = w.explained(gone.ID.String())
	said(t, x.Sentences, "Rule weekend (version 2) dropped it at", "drop('enough'), as message.campaign was \"spring\".")

	w.rules.Drop = nil
	spared := w.submit(mail{campaign: "spring", notBefore: tomorrow(), to: []string{"eve@x.test"}})[0]
	said(t, w.explained(spared.ID.String()).Sentences, "says drop, but policy.drop does not name newsletter, so that it goes")
}
