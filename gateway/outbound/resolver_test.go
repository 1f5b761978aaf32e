package outbound

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// slowZone answers after a second and counts.
type slowZone struct {
	zone
	n atomic.Int64
}

func (z *slowZone) LookupNetIP(ctx context.Context, network, name string) ([]netip.Addr, error) {
	z.n.Add(1)
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return z.zone.LookupNetIP(ctx, network, name)
}

func TestCacheRemembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &slowZone{zone: testZone()}
		c := &Cache{Resolver: z}
		ask := func(name string) error {
			_, err := c.LookupNetIP(context.Background(), "ip", name)
			return err
		}
		for _, row := range []struct {
			name  string
			sleep time.Duration
			asked int64
		}{
			{"a.mail.test.", 0, 1},
			{"A.MAIL.test.", 9 * time.Minute, 1},
			{"a.mail.test.", 2 * time.Minute, 2},
			{"gone.test.", 0, 3},
			{"gone.test.", 4 * time.Minute, 3},
			{"gone.test.", 2 * time.Minute, 4},
			{"cname.test.", 0, 5},
			{"cname.test.", 20 * time.Second, 5},
			{"cname.test.", 20 * time.Second, 6},
		} {
			time.Sleep(row.sleep)
			err := ask(row.name)
			if n := z.n.Load(); n != row.asked {
				t.Errorf("%s after %v: asked %d times, want %d", row.name, row.sleep, n, row.asked)
			}
			if row.name == "gone.test." && !missing(err) {
				t.Errorf("%v", err)
			}
		}
	})
}

func TestCacheAsksOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		z := &slowZone{zone: testZone()}
		c := &Cache{Resolver: z}
		short, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() { // asks first, gives up first
			if _, err := c.LookupNetIP(short, "ip", "a.mail.test."); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		})
		synctest.Wait()
		for range 20 {
			wg.Go(func() {
				if list, err := c.LookupNetIP(context.Background(), "ip", "a.mail.test."); err != nil || len(list) != 2 {
					t.Error(list, err)
				}
			})
		}
		wg.Wait()
		if n := z.n.Load(); n != 2 {
			t.Errorf("asked %d times, want 2", n)
		}
	})
}

func TestCacheWaiterGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Cache{Resolver: &slowZone{zone: testZone()}}
		go c.LookupNetIP(context.Background(), "ip", "a.mail.test.")
		synctest.Wait()
		short, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		if _, err := c.LookupNetIP(short, "ip", "a.mail.test."); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		time.Sleep(time.Minute)
	})
}

func TestCacheMX(t *testing.T) {
	c := &Cache{Resolver: testZone()}
	for range 2 {
		if list, err := c.LookupMX(context.Background(), "two.example."); err != nil || len(list) != 2 {
			t.Error(list, err)
		}
	}
	if _, ok := new(Cache).resolver().(*net.Resolver); !ok {
		t.Error("the zero value does not ask net.Resolver")
	}
}
