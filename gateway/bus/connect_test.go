package bus

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

func TestConnectRefuses(t *testing.T) {
	dir := t.TempDir()
	junk := filepath.Join(dir, "junk")
	if err := os.WriteFile(junk, []byte("not this"), 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(dir, "missing")
	e := &Embedded{Dir: dir}
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{}, "nats.url: is empty and there is no embedded server: set it to nats://host:4222"},
		{Options{URL: "nats://a", Embedded: e}, "leave nats.url or nats.listen out"},
		{Options{Embedded: e, CAFile: junk}, "nats.ca_file: is for a server elsewhere: set nats.url too"},
		{Options{Embedded: e, CredentialsFile: junk}, "nats.credentials_file: is for a server elsewhere: set nats.url too"},
		{Options{URL: "http://a:4222"}, `nats.url: "http://" is not how NATS is spoken: write nats://host:4222, or tls://host:4222`},
		{Options{URL: "nats://ok:4222,nats://"}, "nats.url: is not an address: write nats://host:4222, or several separated by commas"},
		{Options{URL: "nats://me:hunter2@[bad"}, "nats.url: is not an address"},
		{Options{URL: "a", CredentialsFile: missing}, "nats.credentials_file: open " + missing + ": no such file or directory: name a file that tidepost may read"},
		{Options{URL: "a", CredentialsFile: junk}, "nats.credentials_file: " + junk + " is no NATS credentials file: name the .creds file"},
		{Options{URL: "a", CAFile: missing}, "nats.ca_file: open"},
		{Options{URL: "a", CAFile: junk}, "nats.ca_file: " + junk + " holds no certificate: name the PEM file"},
	} {
		conn, err := Connect(t.Context(), c.o)
		if err == nil {
			conn.Close()
			t.Errorf("%+v: connects, want %q", c.o, c.want)
		} else if !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v\nwant %s", c.o, err, c.want)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}

// remote runs a NATS server of somebody else's, with TLS.
func remote(t *testing.T, port int, change func(*server.Options)) *server.Server {
	t.Helper()
	o := &server.Options{Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true, JetStream: true, StoreDir: t.TempDir()}
	change(o)
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the remote server does not start")
	}
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	return s
}

func certificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

// A remote server that at first refuses our password gets every event once it
// takes it; the password is in no line of the log.
func TestRemoteWithTLSAndWrongPassword(t *testing.T) {
	cert, ca := certificate(t)
	secure := func(password string) func(*server.Options) {
		return func(o *server.Options) {
			o.TLS, o.TLSConfig = true, &tls.Config{Certificates: []tls.Certificate{cert}}
			o.Username, o.Password = "tidepost", password
		}
	}
	s := remote(t, server.RANDOM_PORT, secure("other"))
	port := s.Addr().(*net.TCPAddr).Port
	var log lockedBuffer
	j := newJournal(history(1200, 11)...)
	c, err := Connect(t.Context(), Options{URL: strings.Replace(s.ClientURL(), "://", "://tidepost:hunter2@", 1), CAFile: ca,
		ReconnectWait: 5 * time.Millisecond, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r := &rig{t: t, conn: c, journal: j}
	r.start()
	eventually(t, "it waits", func() bool { return strings.Contains(r.relay.Lag().Err, "not connected") })
	eventually(t, "it goes on trying", func() bool { v, err := s.Varz(nil); return err == nil && v.TotalConnections > 3 })
	s.Shutdown()
	s.WaitForShutdown()
	remote(t, port, secure("hunter2"))
	r.caughtUp()
	if !strings.Contains(c.Status(), "2.15") {
		t.Errorf("status %q", c.Status())
	}
	r.stop()
	if strings.Contains(log.String()+c.Status(), "hunter2") {
		t.Errorf("the password is told:\n%s", log.String())
	}
}

// A server that takes connections and answers nothing holds up nothing else.
func TestRemoteThatIsSilent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() {
				c.Write([]byte(`INFO {"server_id":"X","version":"2.15.2","headers":true,"max_payload":1048576}` + "\r\nPONG\r\n"))
				buf := make([]byte, 4096)
				for {
					if _, err := c.Read(buf); err != nil {
						c.Close()
						return
					}
				}
			})
		}
	})
	defer open.Wait()
	defer l.Close()
	r := &rig{t: t, conn: newConn(t, Options{URL: "nats://" + l.Addr().String()}), journal: newJournal(history(5000, 10)...)}
	eventually(t, "connected", r.conn.Connected)
	relay := &Relay{Journal: r.journal, Conn: r.conn, patient: 20 * time.Millisecond, retry: retry{most: 5 * time.Millisecond}}
	done := make(chan error, 1)
	ctx := t.Context()
	go func() { done <- relay.Run(ctx) }()
	eventually(t, "the lag is told", func() bool { l := relay.Lag(); return l.Events == 5000 && l.Err != "" })
	r.conn.Close()
	eventually(t, "it goes on waiting", func() bool { return strings.Contains(relay.Lag().Err, "not connected") })
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
