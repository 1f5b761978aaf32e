//go:build unix

package intake

import (
	"net"
	"syscall"
)

// spokeEarly reports whether a client sent something before it was greeted. It
// looks without waiting, and without taking anything.
func spokeEarly(nc net.Conn) bool {
	t, ok := nc.(*net.TCPConn)
	if !ok {
		return false
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return false
	}
	early := false
	raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK)
		early = err == nil && n > 0
	})
	return early
}
