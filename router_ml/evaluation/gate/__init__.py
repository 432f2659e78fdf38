"""May a challenger replace the champion."""
