// Package history reads what other services recorded of past mail: sends, opens,
// clicks and opt-outs, in files.
package history
