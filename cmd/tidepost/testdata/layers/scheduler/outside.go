package scheduler

import (
	_ "github.com/emersion/go-message"
	_ "github.com/hashicorp/golang-lru/v2/simplelru"
	_ "golang.org/x/net/idna"
	_ "strings"
)
