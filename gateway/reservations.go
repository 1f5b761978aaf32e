package gateway

import "sync"

// reservations are the deliveries that a worker has picked and not settled.
type reservations struct {
	mu  sync.Mutex
	ids map[DeliveryID]struct{} // guarded by mu
}

func (r *reservations) add(id DeliveryID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, taken := r.ids[id]; taken {
		return false
	}
	if r.ids == nil {
		r.ids = map[DeliveryID]struct{}{}
	}
	r.ids[id] = struct{}{}
	return true
}

func (r *reservations) has(id DeliveryID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, taken := r.ids[id]
	return taken
}

func (r *reservations) remove(id DeliveryID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.ids, id)
}

func (r *reservations) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ids)
}
