package bounce

import "testing"

// What servers say to mail for ann@far.test, and what is meant by it.
var sayings = []struct {
	said   string
	status string
	stage  stage
	want   Reason
}{
	// Google
	{"550-5.1.1 The email account that you tried to reach does not exist. Please try double-checking the recipient's email address for typos", "5.1.1", "", UserUnknown},
	{"452-4.2.2 The email account that you tried to reach is over quota. Please direct the recipient to", "4.2.2", "", FullMailbox},
	{"552-5.2.2 The email account that you tried to reach is over quota and inactive.", "5.2.2", "", FullMailbox},
	{"550 5.2.1 The email account that you tried to reach is disabled.", "5.2.1", "", Suspend},
	{"450 4.2.1 The user you are trying to contact is receiving mail too quickly.", "4.2.1", "", Speeding},
	{"550-5.7.1 [192.0.2.1] The IP you're using to send mail is not authorized to send email directly to our servers. Please use the SMTP relay at your service provider instead.", "5.7.1", "", Blocked},
	{"550-5.7.1 Our system has detected that this message is likely unsolicited mail. To reduce the amount of spam sent to Gmail, this message has been blocked.", "5.7.1", "", SpamDetected},
	{"550-5.7.25 The IP address sending this message does not have a PTR record setup", "5.7.25", "", RequirePTR},
	{"550-5.7.26 This mail has been blocked because the sender is unauthenticated. Gmail requires all senders to authenticate with either SPF or DKIM.", "5.7.26", "", AuthFailure},
	{"421-4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your IP address.", "4.7.28", "", RateLimited},
	{"550-5.7.1 This message does not pass authentication checks (SPF and DKIM both do not pass).", "5.7.1", "", AuthFailure},
	{"552-5.3.4 Your message exceeded Google's message size limits.", "5.3.4", "", MessageTooBig},
	{"452-4.5.3 Domain policy size per transaction exceeded, please try this recipient in a separate transaction.", "4.5.3", "", PolicyViolation},
	{"550 5.4.5 Daily user sending quota exceeded.", "5.4.5", "", RateLimited},
	{"DNS Error: DNS type 'mx' lookup of far.test responded with code NXDOMAIN Domain name not found: far.test", "", "", HostUnknown},
	{"The recipient server did not accept our requests to connect.", "4.4.1", "", Expired},
	// Microsoft
	{"550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient ann@far.test not found by SMTP address lookup", "5.1.10", "", UserUnknown},
	{"550 5.4.1 Recipient address rejected: Access denied. AS(201806281)", "5.4.1", stageRcpt, UserUnknown},
	{"550 5.7.1 Service unavailable, Client host [192.0.2.1] blocked using Spamhaus.", "5.7.1", "", Blocked},
	{"550 5.7.606 Access denied, banned sending IP [192.0.2.1].", "5.7.606", "", Blocked},
	{"451 4.7.650 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation.", "4.7.650", "", BadReputation},
	{"550 5.7.509 Access denied, sending domain news.test does not pass DMARC verification and has a DMARC policy of reject.", "5.7.509", "", AuthFailure},
	{"550 5.2.2 STOREDRV.Deliver; mailbox full", "5.2.2", "", FullMailbox},
	{"554 5.2.2 mailbox full; STOREDRV.Deliver.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded", "5.2.2", "", FullMailbox},
	{"550 5.7.1 RESOLVER.RST.NotAuthorized; not authorized", "5.7.1", "", Rejected},
	{"550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required", "5.7.133", "", SecurityError},
	{"550 5.7.64 TenantAttribution; Relay Access Denied", "5.7.64", "", NoRelaying},
	{"550 5.4.300 Message expired", "5.4.300", "", Expired},
	{"550 5.4.310 DNS domain far.test does not exist [Message=InfoDomainNonexistent]", "5.4.310", "", HostUnknown},
	{"550 5.4.316 Message expired, connection refused(Socket error code 10061)", "5.4.316", "", Expired},
	{"550 SC-001 (COL004-MC1F1) Unfortunately, messages from 192.0.2.1 weren't sent. Please contact your Internet service provider since part of their network is on our block list.", "", "", Blocked},
	{"421 RP-001 Unfortunately, some messages from 192.0.2.1 weren't sent. The mail server IP connecting to Outlook.com server has exceeded the rate limit allowed.", "", "", RateLimited},
	{"550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302).", "5.5.0", stageRcpt, UserUnknown},
	{"550 5.6.0 CAT.InvalidContent.Exception: InvalidCharsetException", "5.6.0", "", ContentError},
	{"550 5.3.4 ROUTING.SizeLimit; message size exceeds fixed maximum size for route", "5.3.4", "", MessageTooBig},
	{"550 5.4.14 Hop count exceeded - possible mail loop ATTR34", "5.4.14", "", NetworkError},
	{"550 5.7.1 TRANSPORT.RULES.RejectMessage; the message was rejected by organization policy", "5.7.1", "", PolicyViolation},
	{"550 5.1.8 Access denied, bad outbound sender", "5.1.8", "", Rejected},
	// Yahoo
	{"554 delivery error: dd Sorry, your message to ann@far.test cannot be delivered. This mailbox is disabled (554.30).", "", stageData, Suspend},
	{"552 1 Requested mail action aborted, mailbox not found", "", stageRcpt, UserUnknown},
	{"421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to user complaints - 4.16.55.1; see https://postmaster.yahooinc.com/error-codes", "4.7.0", "", Blocked},
	{"553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.1, because the ip is in Spamhaus's list", "5.7.1", "", Blocked},
	{"554 5.7.9 Message not accepted for policy reasons. See https://postmaster.yahooinc.com/error-codes", "5.7.9", "", PolicyViolation},
	{"451 Resources temporarily not available - Please try again later [#4.16.5].", "", "", SystemError},
	{"452 4.2.2 over quota", "4.2.2", "", FullMailbox},
	// Apple
	{"552 5.2.2 <ann@far.test>: user is over quota", "5.2.2", "", FullMailbox},
	{"554 5.7.1 [CS01] Message rejected due to local policy. Please visit https://support.apple.com/en-us/HT204137", "5.7.1", "", PolicyViolation},
	{"554 5.7.0 Blocked - see https://support.proofpoint.com/dnsbl-lookup.cgi?ip=192.0.2.1", "5.7.0", "", Blocked},
	// mail.ru, Yandex
	{"550 Message was not accepted -- invalid mailbox. Local mailbox ann@far.test is unavailable: user not found", "", stageData, UserUnknown},
	{"550 Message was not accepted -- invalid mailbox. Local mailbox ann@far.test is unavailable: account is disabled", "", stageData, Suspend},
	{"550 spam message rejected. Please visit http://help.mail.ru/notspam-support", "", stageData, SpamDetected},
	{"550 5.7.1 No such user!", "5.7.1", stageRcpt, UserUnknown},
	{"552 5.2.2 Mailbox size limit exceeded", "5.2.2", "", FullMailbox},
	{"554 5.7.1 Message rejected under suspicion of SPAM; https://ya.cc/1IrBc", "5.7.1", "", SpamDetected},
	// QQ, 163
	{"550 Mailbox not found. http://service.mail.qq.com/", "", stageRcpt, UserUnknown},
	{"550 Connection frequency limited. http://service.mail.qq.com/", "", "", RateLimited},
	{"550 Mail content denied. http://service.mail.qq.com/", "", "", SpamDetected},
	{"550 Ip frequency limited", "", "", RateLimited},
	{"554 DT:SPM 163 smtp5,D9GowACHO7RNCRBPPZ", "", "", SpamDetected},
	{"550 User suspended", "", stageRcpt, Suspend},
	// GMX, 1&1, T-Online
	{"550 Requested action not taken: mailbox unavailable", "", stageRcpt, UserUnknown},
	{"554 Nemesis ESMTP Service not available. No SMTP service. IP address is black listed.", "", stageConnect, Blocked},
	{"554 Transaction failed. Reject due to policy restrictions.", "", "", PolicyViolation},
	{"554 IP=192.0.2.1 - A problem occurred. (Ask your postmaster for help or to contact tosa@rx.t-online.de to clarify.)", "", stageConnect, Blocked},
	{"552 quota exceeded for ann@far.test", "", "", FullMailbox},
	// Orange, Free, SFR, laposte
	{"550 5.1.1 Adresse d au moins un destinataire invalide. Invalid recipient. OFR_416", "5.1.1", "", UserUnknown},
	{"552 5.1.1 Boite du destinataire pleine. Recipient overquota. OFR_417", "5.1.1", "", FullMailbox},
	{"550 5.7.1 Boite du destinataire archivee. Archived recipient. OFR_420", "5.7.1", "", Suspend},
	{"421 Too many spams from your IP (192.0.2.1), please visit http://postmaster.free.fr/", "", "", Blocked},
	{"550 spam detected", "", "", SpamDetected},
	// Postfix
	{"Host or domain name not found. Name service error for name=far.test type=A: Host not found", "5.4.4", "", HostUnknown},
	{"Host or domain name not found. Name service error for name=far.test type=MX: Host not found, try again", "4.4.3", "", NetworkError},
	{"Domain far.test does not accept mail (nullMX)", "5.1.0", "", NotAccept},
	{"connect to mx.far.test[192.0.2.1]:25: No route to host", "4.4.1", "", NetworkError},
	{"mail for far.test loops back to myself", "5.4.6", "", NetworkError},
	{"lost connection with mx.far.test[192.0.2.1] while receiving the initial server greeting", "4.4.2", "", NetworkError},
	{"450 4.2.0 <ann@far.test>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/far.test.html", "4.2.0", stageRcpt, Blocked},
	{"554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", "5.7.1", stageRcpt, Blocked},
	{"504 5.5.2 <host>: Helo command rejected: need fully-qualified hostname", "5.5.2", stageRcpt, Blocked},
	{"450 4.7.1 Client host rejected: cannot find your hostname, [192.0.2.1]", "4.7.1", stageRcpt, RequirePTR},
	{"554 5.7.1 <ann@far.test>: Relay access denied", "5.7.1", stageRcpt, NoRelaying},
	{"550 5.1.8 <s@news.test>: Sender address rejected: Domain not found", "5.1.8", stageRcpt, Rejected},
	{"552 5.3.4 Message size exceeds fixed limit", "5.3.4", "", MessageTooBig},
	{"message size 40000000 exceeds size limit 10240000 of server mx.far.test[192.0.2.1]", "5.3.4", "", MessageTooBig},
	{"452 4.3.1 Insufficient system storage", "4.3.1", "", SystemFull},
	{"unable to look up host far.test: Name or service not known", "5.4.4", "", HostUnknown},
	{"maildir delivery failed: error writing message: Disk quota exceeded", "4.2.2", "", FullMailbox},
	{"server certificate not trusted", "4.7.5", "", SecurityError},
	{"TLS is required, but was not offered by host mx.far.test[192.0.2.1]", "4.7.4", "", FailedSTARTTLS},
	// Exim, qmail, Sendmail
	{"Unrouteable address", "", "", HostUnknown},
	{"all relevant MX records point to non-existent hosts", "", "", HostUnknown},
	{"retry timeout exceeded", "", "", Expired},
	{"mailbox is full: retry timeout exceeded", "", "", FullMailbox},
	{"an MX or SRV record indicated no SMTP service", "", "", NotAccept},
	{"550 Verification failed for <s@news.test> No Such User Here Sender verify failed", "", stageRcpt, Rejected},
	{"550 authentication required", "", stageRcpt, SecurityError},
	{"Sorry, no mailbox here by that name. (#5.1.1)", "5.1.1", "", UserUnknown},
	{"CNAME lookup failed temporarily. (#4.4.3)", "4.4.3", "", SystemError},
	{"Sorry, I couldn't find any host named far.test. (#5.1.2)", "5.1.2", "", HostUnknown},
	{"Sorry, I wasn't able to establish an SMTP connection. (#4.4.1) I'm not going to try again; this message has been in the queue too long.", "4.4.1", "", Expired},
	{"553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", "5.7.1", stageRcpt, NoRelaying},
	{"553 5.3.0 <ann@far.test>... No such user here", "5.3.0", stageRcpt, UserUnknown},
	{"550 5.7.1 Fix reverse DNS for 192.0.2.1", "5.7.1", "", RequirePTR},
	{"421 4.3.2 Connection rate limit exceeded.", "4.3.2", "", TooManyConn},
	{"452 4.4.5 Insufficient disk space; try again later", "4.4.5", "", SystemFull},
	{"554 5.3.5 Local configuration error", "5.3.5", "", SystemError},
	{"550 5.1.2 <ann@far.test>... Host unknown (Name server: far.test: host not found)", "5.1.2", "", HostUnknown},
	{"501 5.5.4 Invalid domain name", "5.5.4", stageHello, Blocked},
	{"503 5.5.1 Error: need MAIL command", "5.5.1", "", SyntaxError},
	{"554 5.4.6 Too many hops 26 (25 max)", "5.4.6", "", NetworkError},
	// Gateways
	{"550 Invalid Recipient - https://community.mimecast.com/docs/DOC-1369#550", "", stageRcpt, UserUnknown},
	{"550 Administrative prohibition - envelope blocked - https://community.mimecast.com/docs/DOC-1369#550", "", "", PolicyViolation},
	{"550 Rejected by header based Anti-Spoofing policy: news.test", "", "", PolicyViolation},
	{"554 Email rejected due to security policies - https://community.mimecast.com/docs/DOC-1369#554", "", "", SecurityError},
	{"550 permanent failure for one or more recipients (ann@far.test:blocked)", "", "", Blocked},
	{"550 5.7.1 Blocked by content filter: score exceeds threshold", "5.7.1", "", SpamDetected},
	{"553-Message filtered. Refer to the Troubleshooting page at http://www.symanteccloud.com/troubleshooting", "", "", FilteredOut},
	{"554 rejected due to virus: EICAR", "", "", VirusDetected},
	{"550 #5.1.0 Address rejected.", "5.1.0", stageRcpt, UserUnknown},
	{"550 5.2.1 :user isn't on service", "5.2.1", stageRcpt, UserUnknown},
	{"550 4.4.7 QUEUE.Expired; message expired", "4.4.7", "", Expired},
	{"Amazon SES has suppressed sending to this address because it has a recent history of bouncing as an invalid address.", "5.1.1", "", FilteredOut},
	{"550 5.7.367 Remote server returned not permitted to relay -> 550 Relay not permitted", "5.7.367", "", NoRelaying},
	{"554 5.4.7 Delivery expired (message too old) 'timeout'", "5.4.7", "", Expired},
	{"550 5.1.6 recipient no longer on server: ann@far.test", "5.1.6", "", HasMoved},
	{"User account is overquota", "", "", FullMailbox},
	{"551 user not local; please try <ann@new.test>", "", "", HasMoved},
	// other languages
	{"550 Benutzer unbekannt", "", stageRcpt, UserUnknown},
	{"552 Postfach ist voll", "", "", FullMailbox},
	{"550 5.1.1 Utilisateur inconnu", "5.1.1", "", UserUnknown},
	{"550 El usuario no existe", "", stageRcpt, UserUnknown},
	{"552 La casella di posta è piena", "", "", FullMailbox},
	{"550 Пользователь не найден", "", stageRcpt, UserUnknown},
	{"550 收件人不存在", "", stageRcpt, UserUnknown},
	{"552 邮箱已满", "", "", FullMailbox},
}

func TestSayings(t *testing.T) {
	for _, tt := range sayings {
		r := (&told{recipient: "ann@far.test", action: "failed", status: tt.status, diagnostic: tt.said, stage: tt.stage}).report()
		if r.Group != tt.want.Group() {
			t.Errorf("%q (%s, %s): %s, want %s", tt.said, tt.status, tt.stage, r.Reason, tt.want)
		}
	}
}
