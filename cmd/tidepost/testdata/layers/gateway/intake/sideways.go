package intake

import (
	_ "tidepost/gateway"
	_ "tidepost/gateway/content"
	_ "tidepost/suppression/address"
)
