"""Container images: the build context, and the engines that build it."""
