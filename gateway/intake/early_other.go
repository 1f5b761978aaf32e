//go:build !unix

package intake

import "net"

func spokeEarly(net.Conn) bool { return false }
