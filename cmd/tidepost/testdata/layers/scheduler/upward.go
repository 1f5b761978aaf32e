package scheduler

import _ "tidepost/gateway"
