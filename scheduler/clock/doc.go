// Package clock says in which hours of the week a person reads.
package clock
