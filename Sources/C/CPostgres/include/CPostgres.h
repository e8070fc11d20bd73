#pragma once

// The part of libpq that Aerie uses, reached by dlopen.
