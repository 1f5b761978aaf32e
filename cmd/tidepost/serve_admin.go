package main

import ("context"; "net")

type adminParts struct{}

func (s *server) openAdmin(context.Context) error { return s.listen("http.admin", s.config.Load().HTTP.Admin, "admin API", func(ctx context.Context, l net.Listener) error { <-ctx.Done(); return nil }) }
