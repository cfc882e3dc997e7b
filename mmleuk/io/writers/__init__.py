# Copyright (c) mmleuk authors. All rights reserved.
