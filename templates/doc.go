// Package templates holds the words: texts with places for one mailbox's
// values, and the catalogues of what the gateway itself has to say.
//
// A template is text with {{name}} or {{name|fallback}} in it, and nothing
// else: no conditions, no loops, no calls. Values are data; braces in them mean
// nothing. What is wrong with a template is found when it is parsed, and what it
// may cost is bounded by sizes, so rendering cannot surprise anybody.
package templates
