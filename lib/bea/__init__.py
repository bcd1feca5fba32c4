"""Backward error analysis of optimizers: from gradient descent to Adam."""
from bea.averages import *
from bea.losses import *
from bea.modified import *
from bea.optimizers import *
from bea.series import *
from bea.flow import *
from bea.orders import *
