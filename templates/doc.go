// Package templates holds the words: texts with places for one mailbox's
// values, the catalogues of what the gateway itself has to say, and the pages that
// say it to readers.
//
// A template is text with {{name}} or {{name|fallback}} in it, and nothing
// else: no conditions, no loops, no calls. Values are data; braces in them mean
// nothing. What is wrong with a template is found when it is parsed, and what it
// may cost is bounded by sizes, so rendering cannot surprise anybody.
//
// A catalogue is one file for a language. The pages are HTML without scripts,
// images or anything else from elsewhere: they work in every browser, with the
// keyboard, on a phone and in the dark, and their forms say one word each, a Choice.
package templates
