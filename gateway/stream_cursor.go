package gateway

import (
	"context"
	"encoding/json"
)

// StreamCursor is how far a lane of a stream has been applied. It may lag behind
// what the mailboxes have applied, never run ahead.
type StreamCursor struct {
	Stream string `json:"stream"` // identity: its name and when it was made
	Epoch  uint32 `json:"epoch"`
	Seq    uint64 `json:"seq"` // of the last signal applied; 0: none
}

var settingStream = [lanes]string{LanePermission: "signals/permission", LaneEvidence: "signals/evidence"}

// StreamCursor returns a lane's saved place; the zero one where there is none.
func (g *Gateway) StreamCursor(l Lane) StreamCursor {
	var c StreamCursor
	if kept, ok := g.Store.(Settings); ok {
		// One that cannot be read is as good as none: the mailboxes know what they have.
		_ = json.Unmarshal(kept.Settings()[settingStream[l]], &c)
	}
	return c
}

// SaveStreamCursor stores a lane's place. When it returns, all that was heard
// before is durable too.
func (g *Gateway) SaveStreamCursor(ctx context.Context, l Lane, c StreamCursor) error {
	value, err := json.Marshal(c)
	if err != nil {
		return err
	}
	return g.Store.Commit(ctx, &Change{Settings: []Setting{{Name: settingStream[l], Value: value}}})
}
