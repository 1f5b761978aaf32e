package intake

import _ "tidepost/gateway/nowhere"
