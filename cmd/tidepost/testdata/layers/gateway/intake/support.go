package intake

import _ "tidepost/gateway/smtptest"
