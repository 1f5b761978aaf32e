package local

// Ready says why mail cannot be accepted durably now; nil: it can.
func (s *Store) Ready() error {
	if err := s.err(); err != nil {
		return err
	}
	return s.guard.mail()
}

// Stopped says why the store stopped for good; nil: it did not.
func (s *Store) Stopped() error { return s.err() }
