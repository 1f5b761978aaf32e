package main

import "context"

type busParts struct{}

func (s *server) openBus(context.Context) error   { return nil }
func (b *busParts) run(ctx context.Context) error { return nil }
func (b *busParts) close() error                  { return nil }
