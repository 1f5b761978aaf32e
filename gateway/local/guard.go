package local

import (
	"fmt"
	"sync/atomic"
	"time"

	"tidepost/gateway"
)

// guard watches the space on the disk. New mail may not touch the reserve;
// commits may, because delivering is what makes room.
type guard struct {
	disk    disk
	dir     string
	reserve int64

	low  atomic.Bool
	free atomic.Int64

	quit, gone chan struct{}
}

// guardPause is how often the guard looks: mail is taken again that soon after
// there is room.
const guardPause = time.Second

func (g *guard) start() {
	g.quit, g.gone = make(chan struct{}), make(chan struct{})
	g.look()
	go func() {
		defer close(g.gone)
		tick := time.NewTicker(guardPause)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				g.look()
			case <-g.quit:
				return
			}
		}
	}()
}

func (g *guard) stop() {
	close(g.quit)
	<-g.gone
}

func (g *guard) look() {
	free, _, err := g.disk.Space(g.dir)
	if err != nil {
		return // a disk that cannot be asked will fail by itself
	}
	g.free.Store(free)
	g.low.Store(free < g.reserve)
}

// mail refuses new mail while the reserve is touched.
func (g *guard) mail() error {
	if g.low.Load() {
		return fmt.Errorf("%w: %d MiB of disk are left, %d MiB are kept in reserve", gateway.ErrFull, g.free.Load()>>20, g.reserve>>20)
	}
	return nil
}

// segment refuses a segment of the log that would touch the reserve.
func (g *guard) segment(size int64) error {
	g.look()
	if free := g.free.Load(); free-size < g.reserve {
		return fmt.Errorf("%w: a segment of %d MiB would leave less than the reserve of %d MiB", gateway.ErrFull, size>>20, g.reserve>>20)
	}
	return nil
}
