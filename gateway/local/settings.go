package local

import (
	"maps"
	"sync"

	"tidepost/gateway"
)

// settings are the few values that people change at run time, all in memory.
type settings struct {
	mu      sync.Mutex
	values  map[string][]byte // guarded by mu
	changed map[string]bool   // guarded by mu: since the last checkpoint
}

// Settings returns all settings.
func (s *Store) Settings() map[string][]byte {
	s.settings.mu.Lock()
	defer s.settings.mu.Unlock()
	return maps.Clone(s.settings.values)
}

func (s *settings) put(changed []gateway.Setting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range changed {
		if c.Value == nil {
			delete(s.values, c.Name)
		} else {
			s.values[c.Name] = c.Value
		}
		s.changed[c.Name] = true
	}
}

// capture returns what changed since the last capture; a nil value is gone.
func (s *settings) capture() map[string][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := make(map[string][]byte, len(s.changed))
	for name := range s.changed {
		changed[name] = s.values[name]
	}
	clear(s.changed)
	return changed
}

// restore puts back a capture that could not be stored.
func (s *settings) restore(changed map[string][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range changed {
		s.changed[name] = true
	}
}
