// Package public is what the world reaches over HTTP: the links that stand in mail,
// the pages behind them, and the reports of providers. No route of the admin API is
// on it, and it keeps nothing: what is said here becomes a signal.
//
//	request ─ connection cap ─ whole path? ─ route ─ rate ─ token ─ reader ─ signal, durable ─ answer
//
// A link's token is all the authority there is: it says whose mail it is about, and
// only we can make one. There are no cookies and no logins, so a form that another
// site makes a browser send can do nothing that the other site could not do itself.
// A press on a button of our pages is still refused when the browser says that it
// came from elsewhere; the one-click POST of mail providers (RFC 8058) is never
// refused for that, since it need not come from a page at all.
//
// What can go wrong:
//   - A token is forged, cut, or of another purpose: 404, the same as for any path
//     that does not exist, so that trying teaches nothing (attacks H4).
//   - A token's time is over: 410. A right unsubscribe link works for as long as its
//     key does, whatever its date: an objection is never too late.
//   - What a signal says cannot be stored: an unsubscribe or a choice is answered 503
//     and nothing is promised; a click is redirected all the same, and a pixel is an
//     image all the same.
//   - Somebody asks too fast: what changes something is answered 429; opens and
//     clicks are answered but teach nothing.
//   - A link scanner follows every link: GET and HEAD change nothing, and whether an
//     open or a click was a person's is for the gateway to judge.
//
// At level info and above the log has no token and no address; text from outside is
// quoted and cut.
package public
