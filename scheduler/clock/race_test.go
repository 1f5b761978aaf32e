//go:build race

package clock

// raceEnabled makes slow tests smaller: nothing here runs concurrently.
const raceEnabled = true
